// Package statefulset decides what a StatefulSet does next.
//
// Observe turns API objects into a State: facts only. Decide turns a State into
// a Plan: actions to take now, holds that say what is waited for, and how long
// until time alone changes the answer. Status turns a State into the status to
// publish. Nothing here reads a clock, talks to the API or starts anything, so
// the controller, the simulator, the preview and the explanation share it.
//
// The rules, in the order in which they are asked:
//
//  1. A set that is being deleted does nothing, or, when asked to, stops its pods
//     in order.
//  2. Recreate (when served) first deletes every pod of another revision.
//  3. Fill, ordinals ascending: a pod that ended is deleted, a missing one is
//     created with its claims, a pending one gets claims that vanished, wrong
//     labels and claim owners are repaired. An OrderedReady set stops at the
//     first ordinal that is not available; a Parallel set looks at all.
//  4. Shrink, ordinals descending: claims of surplus pods get the owner that the
//     retention policy asks for, then the pods are deleted; one at a time and
//     each gone before the next in an OrderedReady set.
//  5. Roll, ordinals descending down to the partition: pods of another revision
//     are deleted within maxUnavailable.
//
// Each step of a plan may only begin when the one before has succeeded, which is
// how an ordered set does one thing at a time. Rules names every deviation from
// upstream's behaviour.
package statefulset
