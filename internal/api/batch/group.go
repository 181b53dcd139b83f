// Package batch declares the kinds of batch, one file each.
package batch

import (
	batchv1 "k8s.io/api/batch/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is batch.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: batchv1.SchemeGroupVersion, Add: batchv1.AddToScheme}},
		Kinds: []kind.Kind{
			cronJobKind(),
			jobKind(),
		},
	}
}
