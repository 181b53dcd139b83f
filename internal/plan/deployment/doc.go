// Package deployment decides what a Deployment does next with its ReplicaSets.
//
// Observe turns API objects into a State: sizes and bounds. Decide turns a State
// into a Plan: the writes of one step. Status turns objects into the status to
// publish. A step is small; the events of its writes bring about the next one.
//
// The rules, in the order in which they are asked:
//
//  1. A Deployment that is being deleted does nothing.
//  2. The ReplicaSet of the present template carries the Deployment's annotations,
//     the highest revision and its minReadySeconds.
//  3. While paused, and when the wanted number has changed, sets are scaled in
//     proportion to their sizes and nothing is rolled.
//  4. Recreate: the old sets go to nothing, their pods end, then the new one comes.
//  5. RollingUpdate: the new set grows within the surge, then old ones shrink
//     within what may be unavailable, pods that do not work first.
//  6. A complete rollout lets history go that is beyond the limit.
//
// Two bounds are kept more strictly than upstream does, which trusts the sizes
// that it has written: a set that has not yet shrunk counts with the pods that it
// still has, so that the surge is never exceeded; and what a set reports as
// available counts at most up to its size, so that no pod is given up twice.
package deployment
