package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func namespaceKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Namespace"),
		Resource:                 "namespaces",
		Singular:                 "namespace",
		ShortNames:               []string{"ns"},
		New:                      func() runtime.Object { return &corev1.Namespace{} },
		NewList:                  func() runtime.Object { return &corev1.NamespaceList{} },
		HasStatus:                true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Namespace]{
		Default: defaults.Namespace,
		CopySpec: func(o, old *corev1.Namespace) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *corev1.Namespace) { o.Status = old.Status },
		Row:        func(o *corev1.Namespace) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
