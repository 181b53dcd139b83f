package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func serviceKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Service"),
		Resource:                 "services",
		Singular:                 "service",
		ShortNames:               []string{"svc"},
		Categories:               []string{"all"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.Service{} },
		NewList:                  func() runtime.Object { return &corev1.ServiceList{} },
		HasStatus:                true,
		FieldNames:               []string{"spec.clusterIP", "spec.type"},
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
		Columns:                  columns.Service,
	}, kind.Rules[*corev1.Service]{
		Default:              defaults.Service,
		Validate:             kind.Check(validation.Service),
		ValidateUpdate:       kind.CheckUpdate(validation.ServiceUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.ServiceStatusUpdate),
		Warnings:             kind.Warnings(warning.Service),
		CopySpec:             func(s, old *corev1.Service) { s.Spec = old.Spec },
		CopyStatus:           func(s, old *corev1.Service) { s.Status = old.Status },
		Fields: func(s *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		},
		Row: columns.ServiceRow,
	})
}
