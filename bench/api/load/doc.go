// Package load drives an API server through client-go and measures what its
// clients see. It is the same for every server.
package load
