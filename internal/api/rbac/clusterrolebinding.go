package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func clusterRoleBindingKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
		Resource:                 "clusterrolebindings",
		Singular:                 "clusterrolebinding",
		Columns:                  columns.RoleBinding,
		New:                      func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:                  func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		AllowCreateOnUpdate:      true,
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*rbacv1.ClusterRoleBinding]{
		Default:        defaults.ClusterRoleBinding,
		Validate:       kind.Check(validation.ClusterRoleBinding),
		ValidateUpdate: kind.CheckUpdate(validation.ClusterRoleBindingUpdate),
		Row:            func(b *rbacv1.ClusterRoleBinding) []any { return columns.RoleBindingRow(b, b.RoleRef, b.Subjects) },
	})
}
