// Package probe asks containers how they are: over HTTP, TCP and gRPC from the
// node's network, or by a command inside. When to ask and what the answers mean
// is decided by internal/plan/probe.
package probe
