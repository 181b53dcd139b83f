package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func persistentVolumeKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("PersistentVolume"),
		Resource:                 "persistentvolumes",
		Singular:                 "persistentvolume",
		ShortNames:               []string{"pv"},
		HasStatus:                true,
		FieldAliases:             map[string]string{"name": "metadata.name"},
		Columns:                  columns.PersistentVolume,
		New:                      func() runtime.Object { return &corev1.PersistentVolume{} },
		NewList:                  func() runtime.Object { return &corev1.PersistentVolumeList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.PersistentVolume]{
		Default: defaults.PersistentVolume,
		PrepareCreate: func(_ context.Context, v *corev1.PersistentVolume) {
			v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: new(metav1.Now())}
		},
		PrepareStatusUpdate:  phaseTime,
		Validate:             kind.Check(validation.PersistentVolume),
		ValidateUpdate:       kind.CheckUpdate(validation.PersistentVolumeUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.PersistentVolumeStatusUpdate),
		Warnings:             kind.Warnings(warning.PersistentVolume),
		CopySpec:             func(v, old *corev1.PersistentVolume) { v.Spec = old.Spec },
		CopyStatus:           func(v, old *corev1.PersistentVolume) { v.Status = old.Status },
		Row:                  columns.PersistentVolumeRow,
	})
}

// phaseTime notes when a volume came into its phase.
func phaseTime(_ context.Context, v, old *corev1.PersistentVolume) {
	is, was := v.Status.LastPhaseTransitionTime, old.Status.LastPhaseTransitionTime
	unsaid := is == nil || was != nil && is.Equal(was)
	switch {
	case v.Status.Phase != old.Status.Phase && unsaid:
		v.Status.LastPhaseTransitionTime = new(metav1.Now())
	case is == nil:
		v.Status.LastPhaseTransitionTime = was
	}
}
