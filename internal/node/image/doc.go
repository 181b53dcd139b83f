// Package image makes sure that a container's image is on the node: it looks,
// pulls by the container's policy with the pod's credentials, and tells of both
// with upstream's events.
package image
