// Package networking declares the kinds of networking.k8s.io, one file each.
package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is networking.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: networkingv1.SchemeGroupVersion, Add: networkingv1.AddToScheme}},
		Kinds: []kind.Kind{
			networkPolicyKind(),
			ingressKind(),
			ingressClassKind(),
			ipAddressKind(),
			serviceCIDRKind(),
		},
	}
}
