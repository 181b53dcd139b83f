package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func persistentVolumeClaimKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		Resource:                 "persistentvolumeclaims",
		Singular:                 "persistentvolumeclaim",
		ShortNames:               []string{"pvc"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.PersistentVolumeClaim{} },
		NewList:                  func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		HasStatus:                true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.PersistentVolumeClaim]{
		Default: defaults.PersistentVolumeClaim,
		CopySpec: func(o, old *corev1.PersistentVolumeClaim) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *corev1.PersistentVolumeClaim) { o.Status = old.Status },
		Row:        func(o *corev1.PersistentVolumeClaim) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
