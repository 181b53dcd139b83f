// Package rbac declares the kinds of rbac.authorization.k8s.io, one file each.
package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is rbac.authorization.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: rbacv1.SchemeGroupVersion, Add: rbacv1.AddToScheme}},
		Kinds: []kind.Kind{
			roleKind(),
			clusterRoleKind(),
			roleBindingKind(),
			clusterRoleBindingKind(),
		},
	}
}
