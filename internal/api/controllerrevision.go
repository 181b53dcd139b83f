package api

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func controllerRevisionKind() Kind {
	return Declare(Kind{
		GVK:                      appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
		Resource:                 "controllerrevisions",
		Singular:                 "controllerrevision",
		Namespaced:               true,
		New:                      func() runtime.Object { return &appsv1.ControllerRevision{} },
		NewList:                  func() runtime.Object { return &appsv1.ControllerRevisionList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*appsv1.ControllerRevision]{
		Row: func(o *appsv1.ControllerRevision) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
