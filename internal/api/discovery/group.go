// Package discovery declares the kinds of discovery.k8s.io, one file each.
package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is discovery.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: discoveryv1.SchemeGroupVersion, Add: discoveryv1.AddToScheme}},
		Kinds: []kind.Kind{
			endpointSliceKind(),
		},
	}
}
