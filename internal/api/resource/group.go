// Package resource declares the kinds of resource.k8s.io, one file each. What
// only fields behind gates that are off in Kubernetes 1.37 say is dropped.
package resource

import (
	resourcev1 "k8s.io/api/resource/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is resource.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: resourcev1.SchemeGroupVersion, Add: resourcev1.AddToScheme}},
		Kinds: []kind.Kind{
			deviceClassKind(),
			deviceTaintRuleKind(),
			resourceClaimKind(),
			resourceClaimTemplateKind(),
			resourceSliceKind(),
		},
	}
}
