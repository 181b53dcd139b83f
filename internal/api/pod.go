package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func podKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Pod"),
		Resource:                 "pods",
		Singular:                 "pod",
		ShortNames:               []string{"po"},
		Categories:               []string{"all"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.Pod{} },
		NewList:                  func() runtime.Object { return &corev1.PodList{} },
		HasStatus:                true,
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Pod]{
		Default: defaults.Pod,
		CopySpec: func(o, old *corev1.Pod) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *corev1.Pod) { o.Status = old.Status },
		Row:        func(o *corev1.Pod) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
