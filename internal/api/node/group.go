// Package node declares the kinds of node.k8s.io, one file each.
package node

import (
	nodev1 "k8s.io/api/node/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is node.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: nodev1.SchemeGroupVersion, Add: nodev1.AddToScheme}},
		Kinds:    []kind.Kind{runtimeClassKind()},
	}
}
