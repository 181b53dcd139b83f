// Package evict decides which pods a node ends when it runs out of something,
// and which have taken more disk than they may. It is pure: observations and
// what pods use go in, conditions, a resource to reclaim and an order come out.
//
// The rules are upstream's: a hard threshold counts at once, a soft one after
// its grace period. A threshold that was met stays met until its minimum
// reclaim is reached as well, and a condition holds on for the transition
// period. Pods that use more than they asked for go first, then by priority,
// then by how much more. One pod goes at a time.
package evict
