package api

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func statefulSetKind() Kind {
	return Declare(Kind{
		GVK:                      appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
		Resource:                 "statefulsets",
		Singular:                 "statefulset",
		ShortNames:               []string{"sts"},
		Categories:               []string{"all"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &appsv1.StatefulSet{} },
		NewList:                  func() runtime.Object { return &appsv1.StatefulSetList{} },
		HasStatus:                true,
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*appsv1.StatefulSet]{
		Default: defaults.StatefulSet,
		CopySpec: func(o, old *appsv1.StatefulSet) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *appsv1.StatefulSet) { o.Status = old.Status },
		Row:        func(o *appsv1.StatefulSet) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
