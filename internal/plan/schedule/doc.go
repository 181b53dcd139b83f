// Package schedule decides on which node a pod runs.
//
// Decide is pure: a pod with its claims, the nodes with the pods already given
// to them and the volumes go in; out comes a node with what has to happen to
// the pod's claims, or a reason per node and upstream's sentence about them.
//
// Filters run in the order of upstream's default profile, and the first one
// that fails speaks for the node: unschedulable, node name, taints, node
// selector and affinity, host ports, resources, volumes. Nodes that pass are
// scored by what is left on them and by preferences; equal nodes are told
// apart by their number of pods and then by name, so a decision can be
// repeated.
package schedule
