package api

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func roleBindingKind() Kind {
	return Declare(Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
		Resource:                 "rolebindings",
		Singular:                 "rolebinding",
		Namespaced:               true,
		New:                      func() runtime.Object { return &rbacv1.RoleBinding{} },
		NewList:                  func() runtime.Object { return &rbacv1.RoleBindingList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*rbacv1.RoleBinding]{
		Default: defaults.RoleBinding,
		Row:     func(o *rbacv1.RoleBinding) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
