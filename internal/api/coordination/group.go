// Package coordination declares the kinds of coordination.k8s.io, one file each.
package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is coordination.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: coordinationv1.SchemeGroupVersion, Add: coordinationv1.AddToScheme}},
		Kinds: []kind.Kind{
			leaseKind(),
		},
	}
}
