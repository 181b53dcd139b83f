package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func podTemplateKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("PodTemplate"),
		Resource:                 "podtemplates",
		Singular:                 "podtemplate",
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.PodTemplate{} },
		NewList:                  func() runtime.Object { return &corev1.PodTemplateList{} },
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  columns.PodTemplate,
	}, kind.Rules[*corev1.PodTemplate]{
		Default:        func(t *corev1.PodTemplate) { defaults.PodTemplateSpec(&t.Template) },
		Validate:       kind.Check(validation.PodTemplate),
		ValidateUpdate: kind.CheckUpdate(validation.PodTemplateUpdate),
		CopySpec:       func(t, old *corev1.PodTemplate) { t.Template = old.Template },
		Row:            columns.PodTemplateRow,
	})
}
