package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func clusterRoleKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
		Resource:                 "clusterroles",
		Singular:                 "clusterrole",
		Columns:                  columns.Role,
		New:                      func() runtime.Object { return &rbacv1.ClusterRole{} },
		NewList:                  func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*rbacv1.ClusterRole]{
		Validate:       kind.Check(validation.ClusterRole),
		ValidateUpdate: kind.CheckUpdate(validation.ClusterRoleUpdate),
		Row:            func(r *rbacv1.ClusterRole) []any { return columns.RoleRow(r) },
	})
}
