package bootstrap

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
)

// stored reads what the informers know; nil is what they do not know.
type stored struct {
	clusterRoles        rbaclisters.ClusterRoleLister
	clusterRoleBindings rbaclisters.ClusterRoleBindingLister
	roles               rbaclisters.RoleLister
	roleBindings        rbaclisters.RoleBindingLister
}

func (s stored) clusterRole(name string) *rbacv1.ClusterRole {
	o, err := s.clusterRoles.Get(name)
	return known(o, err)
}

func (s stored) clusterRoleList() []*rbacv1.ClusterRole {
	all, _ := s.clusterRoles.List(labels.Everything()) // from memory: does not fail
	return all
}

func (s stored) clusterRoleBinding(name string) *rbacv1.ClusterRoleBinding {
	o, err := s.clusterRoleBindings.Get(name)
	return known(o, err)
}

func (s stored) role(namespace, name string) *rbacv1.Role {
	o, err := s.roles.Roles(namespace).Get(name)
	return known(o, err)
}

func (s stored) roleBinding(namespace, name string) *rbacv1.RoleBinding {
	o, err := s.roleBindings.RoleBindings(namespace).Get(name)
	return known(o, err)
}

func known[T any](o *T, err error) *T {
	if err != nil {
		return nil
	}
	return o
}
