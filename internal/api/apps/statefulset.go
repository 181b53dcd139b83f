package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func statefulSetKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
		Resource:                 "statefulsets",
		Singular:                 "statefulset",
		ShortNames:               []string{"sts"},
		Categories:               []string{"all"},
		Namespaced:               true,
		HasStatus:                true,
		HasGeneration:            true,
		Columns:                  columns.StatefulSet,
		New:                      func() runtime.Object { return &appsv1.StatefulSet{} },
		NewList:                  func() runtime.Object { return &appsv1.StatefulSetList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*appsv1.StatefulSet]{
		Default:              defaults.StatefulSet,
		Validate:             kind.Check(checkStatefulSet),
		ValidateUpdate:       kind.CheckUpdate(checkStatefulSetUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.StatefulSetStatusUpdate),
		Warnings:             kind.Warnings(warning.StatefulSet),
		CopySpec:             func(s, old *appsv1.StatefulSet) { s.Spec = old.Spec },
		CopyStatus:           func(s, old *appsv1.StatefulSet) { s.Status = old.Status },
		Row:                  columns.StatefulSetRow,
		ScaleGet:             setScale,
		ScaleSet:             func(s *appsv1.StatefulSet, replicas int32) { s.Spec.Replicas = &replicas },
	})
}

func setScale(s *appsv1.StatefulSet) (wanted, have int32, selector string) {
	if s.Spec.Replicas != nil {
		wanted = *s.Spec.Replicas
	}
	if sel, err := metav1.LabelSelectorAsSelector(s.Spec.Selector); err == nil {
		selector = sel.String()
	}
	return wanted, s.Status.Replicas, selector
}
