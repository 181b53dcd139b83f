package api

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func clusterRoleBindingKind() Kind {
	return Declare(Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
		Resource:                 "clusterrolebindings",
		Singular:                 "clusterrolebinding",
		New:                      func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:                  func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*rbacv1.ClusterRoleBinding]{
		Default: defaults.ClusterRoleBinding,
		Row:     func(o *rbacv1.ClusterRoleBinding) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
