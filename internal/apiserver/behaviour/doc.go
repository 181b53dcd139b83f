// Package behaviour holds the tests of what every Kubernetes API server does
// whatever the kind: it talks to the real server in plain HTTP, because status
// codes, headers and bodies are what clients depend on.
package behaviour
