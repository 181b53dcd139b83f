package rbac

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Objects are roles and bindings: the ones stored, or the ones compiled in.
type Objects struct {
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
}

// index answers whose binding leads to which role. It is never changed.
type index struct {
	clusterRoles map[string]*rbacv1.ClusterRole
	clusterRules map[string][]rbacv1.PolicyRule // aggregation resolved
	roles        map[string]*rbacv1.Role        // by namespace/name
	// bindings by subject, see userKey and groupKey.
	bindings map[string][]binding
}

// binding is one subject's way to a role.
type binding struct {
	namespace string // empty: the whole cluster
	name      string
	subject   rbacv1.Subject
	role      rbacv1.RoleRef
}

func userKey(name string) string  { return "u" + name }
func groupKey(name string) string { return "g" + name }

func newIndex(o Objects) *index {
	x := &index{
		clusterRoles: make(map[string]*rbacv1.ClusterRole, len(o.ClusterRoles)),
		roles:        make(map[string]*rbacv1.Role, len(o.Roles)),
		bindings:     map[string][]binding{},
	}
	for _, r := range o.ClusterRoles {
		x.clusterRoles[r.Name] = r
	}
	x.clusterRules = aggregate(o.ClusterRoles)
	for _, r := range o.Roles {
		x.roles[r.Namespace+"/"+r.Name] = r
	}
	for _, b := range o.ClusterRoleBindings {
		x.bind("", b.Name, b.Subjects, b.RoleRef)
	}
	for _, b := range o.RoleBindings {
		x.bind(b.Namespace, b.Name, b.Subjects, b.RoleRef)
	}
	return x
}

func (x *index) bind(namespace, name string, subjects []rbacv1.Subject, role rbacv1.RoleRef) {
	for _, s := range subjects {
		key := ""
		switch s.Kind {
		case rbacv1.UserKind:
			key = userKey(s.Name)
		case rbacv1.GroupKind:
			key = groupKey(s.Name)
		case rbacv1.ServiceAccountKind:
			in := s.Namespace
			if in == "" {
				in = namespace
			}
			if in == "" {
				continue
			}
			key = userKey(serviceaccount.MakeUsername(in, s.Name))
		default:
			continue
		}
		x.bindings[key] = append(x.bindings[key], binding{namespace, name, s, role})
	}
}

// visit calls see for each role that who is bound to in namespace or in the
// whole cluster, until see returns false. A binding to a role that is not
// there comes with an error and no rules.
func (x *index) visit(who user.Info, namespace string, see func(b binding, rules []rbacv1.PolicyRule, err error) bool) {
	if !x.visitKey(userKey(who.GetName()), namespace, see) {
		return
	}
	for _, g := range who.GetGroups() {
		if !x.visitKey(groupKey(g), namespace, see) {
			return
		}
	}
}

func (x *index) visitKey(key, namespace string, see func(binding, []rbacv1.PolicyRule, error) bool) bool {
	for _, b := range x.bindings[key] {
		if b.namespace != "" && b.namespace != namespace {
			continue
		}
		rules, err := x.rulesOf(b.role, b.namespace)
		if !see(b, rules, err) {
			return false
		}
	}
	return true
}

// rulesOf returns the rules of a role that a binding in namespace refers to.
func (x *index) rulesOf(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "ClusterRole":
		if x.clusterRoles[ref.Name] == nil {
			return nil, notFound("clusterroles", ref.Name)
		}
		return x.clusterRules[ref.Name], nil
	case "Role":
		role := x.roles[namespace+"/"+ref.Name]
		if role == nil {
			return nil, notFound("roles", ref.Name)
		}
		return role.Rules, nil
	default:
		return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
	}
}
