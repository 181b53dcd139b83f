package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func limitRangeKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("LimitRange"),
		Resource:                 "limitranges",
		Singular:                 "limitrange",
		ShortNames:               []string{"limits"},
		Namespaced:               true,
		Columns:                  columns.LimitRange,
		New:                      func() runtime.Object { return &corev1.LimitRange{} },
		NewList:                  func() runtime.Object { return &corev1.LimitRangeList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.LimitRange]{
		Default: defaults.LimitRange,
		PrepareCreate: func(_ context.Context, l *corev1.LimitRange) {
			if l.Name == "" {
				l.Name = string(uuid.NewUUID())
			}
		},
		Validate:       kind.Check(validation.LimitRange),
		ValidateUpdate: kind.CheckUpdate(validation.LimitRangeUpdate),
		Row:            columns.LimitRangeRow,
	})
}
