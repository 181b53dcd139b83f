package core

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func namespaceKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Namespace"),
		Resource:                 "namespaces",
		Singular:                 "namespace",
		ShortNames:               []string{"ns"},
		New:                      func() runtime.Object { return &corev1.Namespace{} },
		NewList:                  func() runtime.Object { return &corev1.NamespaceList{} },
		HasStatus:                true,
		FieldNames:               []string{"status.phase"},
		FieldAliases:             map[string]string{"name": "metadata.name"},
		AllowUnconditionalUpdate: true,
		Columns:                  columns.Namespace,
	}, kind.Rules[*corev1.Namespace]{
		Default: defaults.Namespace,
		PrepareCreate: func(_ context.Context, n *corev1.Namespace) {
			n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
				n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
			}
		},
		PrepareUpdate:        func(_ context.Context, n, old *corev1.Namespace) { n.Spec.Finalizers = old.Spec.Finalizers },
		Canonicalize:         defaults.Namespace,
		Validate:             kind.Check(validation.Namespace),
		ValidateUpdate:       kind.CheckUpdate(validation.NamespaceUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.NamespaceStatusUpdate),
		CopySpec:             func(n, old *corev1.Namespace) { n.Spec = old.Spec },
		CopyStatus:           func(n, old *corev1.Namespace) { n.Status = old.Status },
		Fields: func(n *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(n.Status.Phase)}
		},
		Row: columns.NamespaceRow,
	})
}
