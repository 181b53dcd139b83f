// Package cri speaks to a container runtime: it dials it, turns pods into the
// requests that the kubelet would make, reads the runtime's records back into
// the terms of internal/plan/podsync and streams the runtime's events.
package cri
