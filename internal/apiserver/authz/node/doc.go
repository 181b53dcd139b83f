// Package node decides what a node may do: read and write its own node, lease
// and pods, read only the secrets, config maps, claims and volumes that its
// pods refer to, ask for tokens of its pods' service accounts, and see the
// addresses granted to its pods.
//
// A Graph, fed from pods and volumes, knows what the pods of a node refer to.
// An informer may be a moment behind the watch that told the node of a new
// pod, so a request that finds nothing waits shortly for the graph to move on
// before it is refused.
package node
