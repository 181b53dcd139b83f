// Package fence makes sure that the pods which a lost node's control plane starts
// elsewhere do not run here any more.
//
// A process of its own, berth-fence, sleeps until a deadline and then kills by
// control group the pods that it covers. Whoever keeps the node's lease (Keeper)
// moves the deadline on after each renewal. Both meet in a word of memory that
// they share by a file, so that either may be killed at any time, and what was
// said last holds. Nothing here imports Kubernetes: the process is small, and it
// is to outlive everything.
package fence
