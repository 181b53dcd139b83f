package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func controllerRevisionKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
		Resource:                 "controllerrevisions",
		Singular:                 "controllerrevision",
		Namespaced:               true,
		Columns:                  columns.ControllerRevision,
		New:                      func() runtime.Object { return &appsv1.ControllerRevision{} },
		NewList:                  func() runtime.Object { return &appsv1.ControllerRevisionList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*appsv1.ControllerRevision]{
		Validate:       kind.Check(validation.ControllerRevision),
		ValidateUpdate: kind.CheckUpdate(validation.ControllerRevisionUpdate),
		Row:            columns.ControllerRevisionRow,
	})
}
