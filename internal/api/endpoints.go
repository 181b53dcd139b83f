package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func endpointsKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Resource:                 "endpoints",
		Singular:                 "endpoints",
		ShortNames:               []string{"ep"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.Endpoints{} },
		NewList:                  func() runtime.Object { return &corev1.EndpointsList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Endpoints]{
		Default: defaults.Endpoints,
		Row:     func(o *corev1.Endpoints) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
