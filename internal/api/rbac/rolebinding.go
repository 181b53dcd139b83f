package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func roleBindingKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
		Resource:                 "rolebindings",
		Singular:                 "rolebinding",
		Namespaced:               true,
		Columns:                  columns.RoleBinding,
		New:                      func() runtime.Object { return &rbacv1.RoleBinding{} },
		NewList:                  func() runtime.Object { return &rbacv1.RoleBindingList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*rbacv1.RoleBinding]{
		Default:        defaults.RoleBinding,
		Validate:       kind.Check(validation.RoleBinding),
		ValidateUpdate: kind.CheckUpdate(validation.RoleBindingUpdate),
		Row:            func(b *rbacv1.RoleBinding) []any { return columns.RoleBindingRow(b, b.RoleRef, b.Subjects) },
	})
}
