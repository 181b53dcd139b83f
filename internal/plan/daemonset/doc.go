// Package daemonset decides what a DaemonSet does next: on which nodes it makes
// a pod, which pods it deletes, and what its status says.
//
// Every node that the template's node name, selector, required affinity and
// tolerations admit has one pod, pinned to it by its name. A pod whose node
// bars new ones may stay as long as no taint drives it out. First the nodes are
// put in order: a pod where one is missing, none where none may be, none that
// has ended (a failed one is deleted ever more slowly), no two on one node. Only
// when nothing of that is left to do are pods of older templates replaced: by
// deleting them, so that no more than maxUnavailable nodes are without a pod
// that serves, or, with maxSurge, by a second pod next to each of at most so
// many, whose predecessor goes when it serves.
package daemonset
