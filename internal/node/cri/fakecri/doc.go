// Package fakecri is a container runtime that runs nothing: a CRI server in the
// test's process that keeps records as containerd does, lets a test crash
// containers, fail requests and hold them up, and streams events. It survives
// the agents that use it, as a real runtime does.
package fakecri
