// Package storage declares the kinds of storage.k8s.io, one file each.
package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is storage.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: storagev1.SchemeGroupVersion, Add: storagev1.AddToScheme}},
		Kinds: []kind.Kind{
			csiDriverKind(),
			csiNodeKind(),
			csiStorageCapacityKind(),
			storageClassKind(),
			volumeAttachmentKind(),
			volumeAttributesClassKind(),
		},
	}
}
