// Package storagemigration declares the kinds of storagemigration.k8s.io, one file each.
package storagemigration

import (
	storagemigrationv1 "k8s.io/api/storagemigration/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is storagemigration.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: storagemigrationv1.SchemeGroupVersion, Add: storagemigrationv1.AddToScheme}},
		Kinds: []kind.Kind{
			storageVersionMigrationKind(),
		},
	}
}
