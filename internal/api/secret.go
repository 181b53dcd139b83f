package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func secretKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Secret"),
		Resource:                 "secrets",
		Singular:                 "secret",
		Namespaced:               true,
		New:                      func() runtime.Object { return &corev1.Secret{} },
		NewList:                  func() runtime.Object { return &corev1.SecretList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Secret]{
		Default: defaults.Secret,
		Row:     func(o *corev1.Secret) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
