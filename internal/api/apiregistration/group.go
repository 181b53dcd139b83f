// Package apiregistration declares the kind of apiregistration.k8s.io, the
// APIService: which server answers for a group version.
package apiregistration

import (
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is apiregistration.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: apiregistrationv1.SchemeGroupVersion, Add: apiregistrationv1.AddToScheme}},
		Kinds: []kind.Kind{
			apiServiceKind(),
		},
	}
}
