package api

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/validation"
)

func controllerRevisionKind() Kind {
	return Declare(Kind{
		GVK:                      appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
		Resource:                 "controllerrevisions",
		Singular:                 "controllerrevision",
		Namespaced:               true,
		Columns:                  columns.ControllerRevision,
		New:                      func() runtime.Object { return &appsv1.ControllerRevision{} },
		NewList:                  func() runtime.Object { return &appsv1.ControllerRevisionList{} },
		AllowUnconditionalUpdate: true,
	}, Rules[*appsv1.ControllerRevision]{
		Validate:       check(validation.ControllerRevision),
		ValidateUpdate: checkUpdate(validation.ControllerRevisionUpdate),
		Row:            columns.ControllerRevisionRow,
	})
}
