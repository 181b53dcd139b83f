package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func persistentVolumeKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("PersistentVolume"),
		Resource:                 "persistentvolumes",
		Singular:                 "persistentvolume",
		ShortNames:               []string{"pv"},
		New:                      func() runtime.Object { return &corev1.PersistentVolume{} },
		NewList:                  func() runtime.Object { return &corev1.PersistentVolumeList{} },
		HasStatus:                true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.PersistentVolume]{
		Default: defaults.PersistentVolume,
		CopySpec: func(o, old *corev1.PersistentVolume) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *corev1.PersistentVolume) { o.Status = old.Status },
		Row:        func(o *corev1.PersistentVolume) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
