package api

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func roleKind() Kind {
	return Declare(Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("Role"),
		Resource:                 "roles",
		Singular:                 "role",
		Namespaced:               true,
		New:                      func() runtime.Object { return &rbacv1.Role{} },
		NewList:                  func() runtime.Object { return &rbacv1.RoleList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*rbacv1.Role]{
		Row: func(o *rbacv1.Role) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
