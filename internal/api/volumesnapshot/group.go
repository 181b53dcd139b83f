// Package volumesnapshot declares the kinds of snapshot.storage.k8s.io.
package volumesnapshot

import (
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Group is snapshot.storage.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: snapshotv1.SchemeGroupVersion, Add: snapshotv1.AddToScheme}},
		Kinds:    []kind.Kind{classKind(), contentKind(), snapshotKind()},
	}
}

func classKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshotClass"),
		Resource:      "volumesnapshotclasses",
		Singular:      "volumesnapshotclass",
		ShortNames:    []string{"vsclass", "vsclasses"},
		HasGeneration: true,
		Columns:       columns.VolumeSnapshotClass,
		New:           func() runtime.Object { return &snapshotv1.VolumeSnapshotClass{} },
		NewList:       func() runtime.Object { return &snapshotv1.VolumeSnapshotClassList{} },
	}, kind.Rules[*snapshotv1.VolumeSnapshotClass]{
		Validate:       kind.Check(validation.VolumeSnapshotClass),
		ValidateUpdate: kind.CheckUpdate(validation.VolumeSnapshotClassUpdate),
		CopySpec: func(c, old *snapshotv1.VolumeSnapshotClass) {
			c.Driver, c.Parameters, c.DeletionPolicy = old.Driver, old.Parameters, old.DeletionPolicy
		},
		Row: columns.VolumeSnapshotClassRow,
	})
}

func contentKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshotContent"),
		Resource:      snapshotv1.Contents.Resource,
		Singular:      "volumesnapshotcontent",
		ShortNames:    []string{"vsc", "vscs"},
		HasStatus:     true,
		HasGeneration: true,
		Columns:       columns.VolumeSnapshotContent,
		New:           func() runtime.Object { return &snapshotv1.VolumeSnapshotContent{} },
		NewList:       func() runtime.Object { return &snapshotv1.VolumeSnapshotContentList{} },
	}, kind.Rules[*snapshotv1.VolumeSnapshotContent]{
		Validate:             kind.Check(validation.VolumeSnapshotContent),
		ValidateUpdate:       kind.CheckUpdate(validation.VolumeSnapshotContentUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.VolumeSnapshotContentStatusUpdate),
		CopySpec:             func(c, old *snapshotv1.VolumeSnapshotContent) { c.Spec = old.Spec },
		CopyStatus:           func(c, old *snapshotv1.VolumeSnapshotContent) { c.Status = old.Status },
		Row:                  columns.VolumeSnapshotContentRow,
	})
}

func snapshotKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshot"),
		Resource:      "volumesnapshots",
		Singular:      "volumesnapshot",
		ShortNames:    []string{"vs"},
		Namespaced:    true,
		HasStatus:     true,
		HasGeneration: true,
		Columns:       columns.VolumeSnapshot,
		New:           func() runtime.Object { return &snapshotv1.VolumeSnapshot{} },
		NewList:       func() runtime.Object { return &snapshotv1.VolumeSnapshotList{} },
	}, kind.Rules[*snapshotv1.VolumeSnapshot]{
		Validate:       kind.Check(validation.VolumeSnapshot),
		ValidateUpdate: kind.CheckUpdate(validation.VolumeSnapshotUpdate),
		CopySpec:       func(s, old *snapshotv1.VolumeSnapshot) { s.Spec = old.Spec },
		CopyStatus:     func(s, old *snapshotv1.VolumeSnapshot) { s.Status = old.Status },
		Row:            columns.VolumeSnapshotRow,
	})
}
