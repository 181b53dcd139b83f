package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func roleKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("Role"),
		Resource:                 "roles",
		Singular:                 "role",
		Namespaced:               true,
		Columns:                  columns.Role,
		New:                      func() runtime.Object { return &rbacv1.Role{} },
		NewList:                  func() runtime.Object { return &rbacv1.RoleList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*rbacv1.Role]{
		Validate:       kind.Check(validation.Role),
		ValidateUpdate: kind.CheckUpdate(validation.RoleUpdate),
		Row:            func(r *rbacv1.Role) []any { return columns.RoleRow(r) },
	})
}
