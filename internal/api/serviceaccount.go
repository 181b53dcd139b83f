package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func serviceAccountKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		Resource:                 "serviceaccounts",
		Singular:                 "serviceaccount",
		ShortNames:               []string{"sa"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.ServiceAccount{} },
		NewList:                  func() runtime.Object { return &corev1.ServiceAccountList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.ServiceAccount]{
		Row: func(o *corev1.ServiceAccount) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
