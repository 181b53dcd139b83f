package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func persistentVolumeClaimKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		Resource:                 "persistentvolumeclaims",
		Singular:                 "persistentvolumeclaim",
		ShortNames:               []string{"pvc"},
		Namespaced:               true,
		HasStatus:                true,
		FieldAliases:             map[string]string{"name": "metadata.name"},
		Columns:                  columns.PersistentVolumeClaim,
		New:                      func() runtime.Object { return &corev1.PersistentVolumeClaim{} },
		NewList:                  func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.PersistentVolumeClaim]{
		Default: defaults.PersistentVolumeClaim,
		PrepareCreate: func(_ context.Context, c *corev1.PersistentVolumeClaim) {
			c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
			sameSource(&c.Spec)
		},
		PrepareUpdate:        func(_ context.Context, c, _ *corev1.PersistentVolumeClaim) { sameSource(&c.Spec) },
		Validate:             kind.Check(validation.PersistentVolumeClaim),
		ValidateUpdate:       kind.CheckUpdate(validation.PersistentVolumeClaimUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.PersistentVolumeClaimStatusUpdate),
		Warnings:             kind.Warnings(warning.PersistentVolumeClaim),
		CopySpec:             func(c, old *corev1.PersistentVolumeClaim) { c.Spec = old.Spec },
		CopyStatus:           func(c, old *corev1.PersistentVolumeClaim) { c.Status = old.Status },
		Row:                  columns.PersistentVolumeClaimRow,
	})
}

// sameSource fills the older of the two fields for a claim's content from the
// newer, and the other way round.
func sameSource(s *corev1.PersistentVolumeClaimSpec) {
	switch {
	case s.DataSource != nil && s.DataSourceRef == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{
			APIGroup: s.DataSource.APIGroup, Kind: s.DataSource.Kind, Name: s.DataSource.Name,
		}
	case s.DataSourceRef != nil && s.DataSource == nil && (s.DataSourceRef.Namespace == nil || *s.DataSourceRef.Namespace == ""):
		s.DataSource = &corev1.TypedLocalObjectReference{
			APIGroup: s.DataSourceRef.APIGroup, Kind: s.DataSourceRef.Kind, Name: s.DataSourceRef.Name,
		}
	}
}
