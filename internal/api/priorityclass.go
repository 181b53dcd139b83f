package api

import (
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func priorityClassKind() Kind {
	return Declare(Kind{
		GVK:                      schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
		Resource:                 "priorityclasses",
		Singular:                 "priorityclass",
		ShortNames:               []string{"pc"},
		New:                      func() runtime.Object { return &schedulingv1.PriorityClass{} },
		NewList:                  func() runtime.Object { return &schedulingv1.PriorityClassList{} },
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*schedulingv1.PriorityClass]{
		Default: defaults.PriorityClass,
		Row:     func(o *schedulingv1.PriorityClass) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
