package validation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// roleName allows whatever fits in a URL.
func roleName(name string, _ bool) []string { return content.IsPathSegmentName(name) }

// Role checks a new role.
func Role(r *rbacv1.Role) field.ErrorList {
	var f findings
	f.meta(&r.ObjectMeta, true, roleName)
	f.rules(r.Rules, true)
	return f.list
}

// RoleUpdate checks a change of a role.
func RoleUpdate(r, old *rbacv1.Role) field.ErrorList {
	f := findings{list: Role(r)}
	f.metaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	return f.list
}

// ClusterRole checks a new cluster role.
func ClusterRole(r *rbacv1.ClusterRole) field.ErrorList {
	var f findings
	f.meta(&r.ObjectMeta, false, roleName)
	f.rules(r.Rules, false)
	if a := r.AggregationRule; a != nil {
		p := field.NewPath("aggregationRule", "clusterRoleSelectors")
		if len(a.ClusterRoleSelectors) == 0 {
			f.required(p, "at least one clusterRoleSelector required if aggregationRule is non-nil")
		}
		for i := range a.ClusterRoleSelectors {
			f.selector(&a.ClusterRoleSelectors[i], p.Index(i))
		}
	}
	return f.list
}

// ClusterRoleUpdate checks a change of a cluster role.
func ClusterRoleUpdate(r, old *rbacv1.ClusterRole) field.ErrorList {
	f := findings{list: ClusterRole(r)}
	f.metaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	return f.list
}

func (f *findings) rules(rules []rbacv1.PolicyRule, namespaced bool) {
	for i := range rules {
		r, p := &rules[i], field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			f.required(p.Child("verbs"), "verbs must contain at least one value")
		}
		if len(r.NonResourceURLs) > 0 {
			if namespaced {
				f.invalid(p.Child("nonResourceURLs"), r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")
			}
			if len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0 {
				f.invalid(p.Child("nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			f.required(p.Child("apiGroups"), "resource rules must supply at least one api group")
		}
		if len(r.Resources) == 0 {
			f.required(p.Child("resources"), "resource rules must supply at least one resource")
		}
	}
}

// RoleBinding checks a new role binding.
func RoleBinding(b *rbacv1.RoleBinding) field.ErrorList {
	var f findings
	f.meta(&b.ObjectMeta, true, roleName)
	f.roleRef(&b.RoleRef, "Role", "ClusterRole")
	f.subjects(b.Subjects, true)
	return f.list
}

// RoleBindingUpdate checks a change of a role binding.
func RoleBindingUpdate(b, old *rbacv1.RoleBinding) field.ErrorList {
	f := findings{list: RoleBinding(b)}
	f.metaUpdate(&b.ObjectMeta, &old.ObjectMeta)
	f.sameRole(b.RoleRef, old.RoleRef)
	return f.list
}

// ClusterRoleBinding checks a new cluster role binding.
func ClusterRoleBinding(b *rbacv1.ClusterRoleBinding) field.ErrorList {
	var f findings
	f.meta(&b.ObjectMeta, false, roleName)
	f.roleRef(&b.RoleRef, "ClusterRole")
	f.subjects(b.Subjects, false)
	return f.list
}

// ClusterRoleBindingUpdate checks a change of a cluster role binding.
func ClusterRoleBindingUpdate(b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	f := findings{list: ClusterRoleBinding(b)}
	f.metaUpdate(&b.ObjectMeta, &old.ObjectMeta)
	f.sameRole(b.RoleRef, old.RoleRef)
	return f.list
}

func (f *findings) sameRole(ref, old rbacv1.RoleRef) {
	if ref != old {
		f.invalid(field.NewPath("roleRef"), ref, "cannot change roleRef")
	}
}

func (f *findings) roleRef(ref *rbacv1.RoleRef, kinds ...string) {
	p := field.NewPath("roleRef")
	among(f, p.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName)
	among(f, p.Child("kind"), ref.Kind, kinds...)
	if f.notEmpty(p.Child("name"), ref.Name) {
		f.messages(p.Child("name"), ref.Name, roleName(ref.Name, false))
	}
}

func (f *findings) subjects(subjects []rbacv1.Subject, namespaced bool) {
	for i := range subjects {
		s, p := &subjects[i], field.NewPath("subjects").Index(i)
		f.notEmpty(p.Child("name"), s.Name)
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			if s.Name != "" {
				f.messages(p.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))
			}
			among(f, p.Child("apiGroup"), s.APIGroup, "")
			if !namespaced {
				f.notEmpty(p.Child("namespace"), s.Namespace)
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			among(f, p.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)
		default:
			among(f, p.Child("kind"), s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)
		}
	}
}
