package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func configMapKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		Resource:                 "configmaps",
		Singular:                 "configmap",
		ShortNames:               []string{"cm"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.ConfigMap{} },
		NewList:                  func() runtime.Object { return &corev1.ConfigMapList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.ConfigMap]{
		Default: defaults.ConfigMap,
		Row:     func(o *corev1.ConfigMap) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
