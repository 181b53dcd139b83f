package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func configMapKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		Resource:                 "configmaps",
		Singular:                 "configmap",
		ShortNames:               []string{"cm"},
		Namespaced:               true,
		Columns:                  columns.ConfigMap,
		New:                      func() runtime.Object { return &corev1.ConfigMap{} },
		NewList:                  func() runtime.Object { return &corev1.ConfigMapList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.ConfigMap]{
		Default:        defaults.ConfigMap,
		Validate:       kind.Check(validation.ConfigMap),
		ValidateUpdate: kind.CheckUpdate(validation.ConfigMapUpdate),
		Row:            columns.ConfigMapRow,
	})
}
