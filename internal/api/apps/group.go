// Package apps declares the kinds of apps, one file each.
package apps

import (
	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is apps.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: appsv1.SchemeGroupVersion, Add: appsv1.AddToScheme}},
		Kinds: []kind.Kind{
			deploymentKind(),
			statefulSetKind(),
			daemonSetKind(),
			replicaSetKind(),
			controllerRevisionKind(),
		},
	}
}
