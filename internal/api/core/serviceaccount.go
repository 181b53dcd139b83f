package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func serviceAccountKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		Resource:                 "serviceaccounts",
		Singular:                 "serviceaccount",
		ShortNames:               []string{"sa"},
		Namespaced:               true,
		Columns:                  columns.ServiceAccount,
		New:                      func() runtime.Object { return &corev1.ServiceAccount{} },
		NewList:                  func() runtime.Object { return &corev1.ServiceAccountList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.ServiceAccount]{
		PrepareCreate:  func(_ context.Context, a *corev1.ServiceAccount) { onlyNames(a.Secrets) },
		PrepareUpdate:  func(_ context.Context, a, _ *corev1.ServiceAccount) { onlyNames(a.Secrets) },
		Validate:       kind.Check(validation.ServiceAccount),
		ValidateUpdate: kind.CheckUpdate(validation.ServiceAccountUpdate),
		Warnings:       func(_ context.Context, a, old *corev1.ServiceAccount) []string { return warning.ServiceAccount(a, old) },
		Row:            columns.ServiceAccountRow,
	})
}

// onlyNames drops all but the names of the secrets: they live in the account's
// own namespace.
func onlyNames(secrets []corev1.ObjectReference) {
	for i := range secrets {
		secrets[i] = corev1.ObjectReference{Name: secrets[i].Name}
	}
}
