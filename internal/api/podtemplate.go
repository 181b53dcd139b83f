package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func podTemplateKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("PodTemplate"),
		Resource:                 "podtemplates",
		Singular:                 "podtemplate",
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.PodTemplate{} },
		NewList:                  func() runtime.Object { return &corev1.PodTemplateList{} },
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.PodTemplate]{
		Row: func(o *corev1.PodTemplate) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
