// Package schedule decides on which node a pod runs.
//
// A Cluster is what decisions look at: nodes, the pods placed on them and what
// is counted about both. It is kept up to date change by change, so that a
// decision costs a few sums for each node and never a look at each pod:
// for every class of affinity or spreading in use it knows how many pods
// of the class each node holds.
//
// Decide is pure: an Ask (a pod with its claims) goes in; out comes a node with
// what has to happen to the pod's claims, or a reason per node, upstream's
// sentence about them, and the pods that would have to go for it.
//
// Filters run in the order of upstream's default profile, and the first one
// that fails speaks for the node. Nodes that pass are scored with upstream's
// weights; equal nodes are told apart by their number of pods and then by name,
// so a decision can be repeated.
//
// Helps says which change can help a pod that was refused.
package schedule
