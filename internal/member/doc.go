// Package member is how a server becomes one of several that share an embedded
// datastore, and stops being one: what it asks of a server of the cluster, what
// that one answers, and what it remembers of it.
package member
