package api

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/validation"
)

func roleKind() Kind {
	return Declare(Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("Role"),
		Resource:                 "roles",
		Singular:                 "role",
		Namespaced:               true,
		Columns:                  columns.Role,
		New:                      func() runtime.Object { return &rbacv1.Role{} },
		NewList:                  func() runtime.Object { return &rbacv1.RoleList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, Rules[*rbacv1.Role]{
		Validate:       check(validation.Role),
		ValidateUpdate: checkUpdate(validation.RoleUpdate),
		Row:            func(r *rbacv1.Role) []any { return columns.RoleRow(r) },
	})
}
