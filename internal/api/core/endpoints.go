package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func endpointsKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Resource:                 "endpoints",
		Singular:                 "endpoints",
		ShortNames:               []string{"ep"},
		Namespaced:               true,
		Columns:                  columns.Endpoints,
		New:                      func() runtime.Object { return &corev1.Endpoints{} },
		NewList:                  func() runtime.Object { return &corev1.EndpointsList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.Endpoints]{
		Default:        defaults.Endpoints,
		Validate:       kind.Check(validation.Endpoints),
		ValidateUpdate: kind.CheckUpdate(validation.EndpointsUpdate),
		Warnings:       kind.Warnings(warning.Endpoints),
		Row:            columns.EndpointsRow,
	})
}
