// Package csi is a kubelet's side of storage drivers: it finds the drivers that
// register themselves on this node, shows them in the API (CSINode, the node's
// labels and its annotation), and calls them.
//
// A driver is a process that somebody else runs, mostly in a pod. It may be
// away, hang or come back at any moment: each call has a deadline, each error
// names the call and the driver, and a driver's socket tells whether it is there.
package csi
