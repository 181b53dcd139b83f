// Package core declares the kinds of the core group (v1), one file each.
package core

import (
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is the core group (v1).
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: corev1.SchemeGroupVersion, Add: corev1.AddToScheme}},
		Kinds: []kind.Kind{
			namespaceKind(),
			nodeKind(),
			podKind(),
			podTemplateKind(),
			replicationControllerKind(),
			serviceKind(),
			endpointsKind(),
			configMapKind(),
			secretKind(),
			serviceAccountKind(),
			persistentVolumeKind(),
			persistentVolumeClaimKind(),
			limitRangeKind(),
			resourceQuotaKind(),
			eventKind(),
		},
	}
}
