// Package admission holds what an object must go through between its request
// and its storage: upstream's built-in admission plugins, each in a file of
// its own, in upstream's order. New returns the chain.
//
// The informers it asks for are namespaces, serviceaccounts, pods, nodes,
// storageclasses and priorityclasses.
package admission
