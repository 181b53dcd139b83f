package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func resourceQuotaKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("ResourceQuota"),
		Resource:                 "resourcequotas",
		Singular:                 "resourcequota",
		ShortNames:               []string{"quota"},
		Namespaced:               true,
		HasStatus:                true,
		Columns:                  columns.ResourceQuota,
		New:                      func() runtime.Object { return &corev1.ResourceQuota{} },
		NewList:                  func() runtime.Object { return &corev1.ResourceQuotaList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.ResourceQuota]{
		Default:              defaults.ResourceQuota,
		Validate:             kind.Check(validation.ResourceQuota),
		ValidateUpdate:       kind.CheckUpdate(validation.ResourceQuotaUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.ResourceQuotaStatusUpdate),
		CopySpec:             func(q, old *corev1.ResourceQuota) { q.Spec = old.Spec },
		CopyStatus:           func(q, old *corev1.ResourceQuota) { q.Status = old.Status },
		Row:                  columns.ResourceQuotaRow,
	})
}
