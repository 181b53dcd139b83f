package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func eventKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Event"),
		Resource:                 "events",
		Singular:                 "event",
		ShortNames:               []string{"ev"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.Event{} },
		NewList:                  func() runtime.Object { return &corev1.EventList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Event]{
		Row: func(o *corev1.Event) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
