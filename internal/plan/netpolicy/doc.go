// Package netpolicy decides which packets NetworkPolicies let through to and
// from the pods of one node: policies, pods and namespaces in, profiles and sets
// of addresses out. It knows nothing of nftables.
//
// A profile is all that some pods may receive (or send): a list of terms, any of
// which suffices. Its name is made of what it says, so it never changes; pods
// with the same rules share one. Peers chosen by labels are sets of addresses,
// named by their selectors and shared too: a pod that comes or goes is an element
// of some sets, and no rule changes.
package netpolicy
