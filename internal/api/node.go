package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func nodeKind() Kind {
	return Declare(Kind{
		GVK:                      corev1.SchemeGroupVersion.WithKind("Node"),
		Resource:                 "nodes",
		Singular:                 "node",
		ShortNames:               []string{"no"},
		New:                      func() runtime.Object { return &corev1.Node{} },
		NewList:                  func() runtime.Object { return &corev1.NodeList{} },
		HasStatus:                true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*corev1.Node]{
		Default: defaults.Node,
		CopySpec: func(o, old *corev1.Node) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *corev1.Node) { o.Status = old.Status },
		Row:        func(o *corev1.Node) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
