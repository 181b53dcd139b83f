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

func secretKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Secret"),
		Resource:                 "secrets",
		Singular:                 "secret",
		Namespaced:               true,
		FieldNames:               []string{"type"},
		Columns:                  columns.Secret,
		New:                      func() runtime.Object { return &corev1.Secret{} },
		NewList:                  func() runtime.Object { return &corev1.SecretList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.Secret]{
		Default:        defaults.Secret,
		Validate:       kind.Check(validation.Secret),
		ValidateUpdate: kind.CheckUpdate(validation.SecretUpdate),
		Warnings:       kind.Warnings(warning.Secret),
		Fields:         func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} },
		Row:            columns.SecretRow,
	})
}
