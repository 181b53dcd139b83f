// Package scheduling declares the kinds of scheduling.k8s.io, one file each.
package scheduling

import (
	schedulingv1 "k8s.io/api/scheduling/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is scheduling.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: schedulingv1.SchemeGroupVersion, Add: schedulingv1.AddToScheme}},
		Kinds: []kind.Kind{
			priorityClassKind(),
		},
	}
}
