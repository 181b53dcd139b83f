// Package certificates declares the kinds of certificates.k8s.io, one file each.
package certificates

import (
	certificatesv1 "k8s.io/api/certificates/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is certificates.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: certificatesv1.SchemeGroupVersion, Add: certificatesv1.AddToScheme}},
		Kinds: []kind.Kind{
			signingRequestKind(),
			trustBundleKind(),
			podRequestKind(),
		},
	}
}
