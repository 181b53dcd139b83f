// Package policy declares the kinds of policy, one file each.
package policy

import (
	policyv1 "k8s.io/api/policy/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is policy.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: policyv1.SchemeGroupVersion, Add: policyv1.AddToScheme}},
		Kinds: []kind.Kind{
			podDisruptionBudgetKind(),
		},
	}
}
