package core

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func nodeKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Node"),
		Resource:                 "nodes",
		Singular:                 "node",
		ShortNames:               []string{"no"},
		New:                      func() runtime.Object { return &corev1.Node{} },
		NewList:                  func() runtime.Object { return &corev1.NodeList{} },
		HasStatus:                true,
		KeepsStatusOnCreate:      true,
		FieldNames:               []string{"spec.unschedulable"},
		AllowUnconditionalUpdate: true,
		Columns:                  columns.Node,
	}, kind.Rules[*corev1.Node]{
		Default:              defaults.Node,
		Validate:             kind.Check(validation.Node),
		ValidateUpdate:       kind.CheckUpdate(validation.NodeUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.NodeUpdate),
		Warnings:             kind.Warnings(warning.Node),
		CopySpec:             func(n, old *corev1.Node) { n.Spec = old.Spec },
		CopyStatus:           func(n, old *corev1.Node) { n.Status = old.Status },
		Fields: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
		Row: columns.NodeRow,
	})
}
