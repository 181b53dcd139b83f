package api

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func clusterRoleKind() Kind {
	return Declare(Kind{
		GVK:                      rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
		Resource:                 "clusterroles",
		Singular:                 "clusterrole",
		New:                      func() runtime.Object { return &rbacv1.ClusterRole{} },
		NewList:                  func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*rbacv1.ClusterRole]{
		Row: func(o *rbacv1.ClusterRole) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
