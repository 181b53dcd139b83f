package scheduling

import (
	"context"

	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func priorityClassKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
		Resource:                 "priorityclasses",
		Singular:                 "priorityclass",
		ShortNames:               []string{"pc"},
		Columns:                  columns.PriorityClass,
		New:                      func() runtime.Object { return &schedulingv1.PriorityClass{} },
		NewList:                  func() runtime.Object { return &schedulingv1.PriorityClassList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*schedulingv1.PriorityClass]{
		Default:        defaults.PriorityClass,
		PrepareCreate:  func(_ context.Context, c *schedulingv1.PriorityClass) { c.Generation = 1 },
		PrepareUpdate:  func(_ context.Context, c, old *schedulingv1.PriorityClass) { c.Generation = old.Generation },
		Validate:       kind.Check(validation.PriorityClass),
		ValidateUpdate: kind.CheckUpdate(validation.PriorityClassUpdate),
		Row:            columns.PriorityClassRow,
	})
}
