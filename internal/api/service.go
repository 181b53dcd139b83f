package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func serviceKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Service"),
		Resource:                 "services",
		Singular:                 "service",
		ShortNames:               []string{"svc"},
		Categories:               []string{"all"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.Service{} },
		NewList:                  func() runtime.Object { return &corev1.ServiceList{} },
		HasStatus:                true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Service]{
		Default: defaults.Service,
		CopySpec: func(o, old *corev1.Service) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *corev1.Service) { o.Status = old.Status },
		Row:        func(o *corev1.Service) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
