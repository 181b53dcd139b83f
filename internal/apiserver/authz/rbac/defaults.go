package rbac

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// withDefaults adds the compiled-in objects that are not stored, and what a
// newer binary adds to stored ones that keep themselves up to date.
func withDefaults(stored, defaults Objects) Objects {
	return Objects{
		ClusterRoles: fill(stored.ClusterRoles, defaults.ClusterRoles, func(have, want *rbacv1.ClusterRole) *rbacv1.ClusterRole {
			merged := *have
			merged.Rules = joinRules(have.Rules, want.Rules)
			if merged.AggregationRule == nil {
				merged.AggregationRule = want.AggregationRule
			}
			merged.Labels = maps.Clone(want.Labels)
			maps.Copy(merged.Labels, have.Labels)
			return &merged
		}),
		ClusterRoleBindings: fill(stored.ClusterRoleBindings, defaults.ClusterRoleBindings, func(have, want *rbacv1.ClusterRoleBinding) *rbacv1.ClusterRoleBinding {
			merged := *have
			merged.Subjects = joinSubjects(have.Subjects, want.Subjects)
			return &merged
		}),
		Roles: fill(stored.Roles, defaults.Roles, func(have, want *rbacv1.Role) *rbacv1.Role {
			merged := *have
			merged.Rules = joinRules(have.Rules, want.Rules)
			return &merged
		}),
		RoleBindings: fill(stored.RoleBindings, defaults.RoleBindings, func(have, want *rbacv1.RoleBinding) *rbacv1.RoleBinding {
			merged := *have
			merged.Subjects = joinSubjects(have.Subjects, want.Subjects)
			return &merged
		}),
	}
}

// joinRules adds what have does not cover, without changing have. Most stored
// roles are as they were compiled in, which is seen faster than what they cover.
func joinRules(have, want []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	if slices.EqualFunc(have, want, sameRule) {
		return have
	}
	_, missing := validation.Covers(have, want)
	return slices.Concat(have, missing)
}

func sameRule(a, b rbacv1.PolicyRule) bool {
	return slices.Equal(a.Verbs, b.Verbs) && slices.Equal(a.APIGroups, b.APIGroups) && slices.Equal(a.Resources, b.Resources) &&
		slices.Equal(a.ResourceNames, b.ResourceNames) && slices.Equal(a.NonResourceURLs, b.NonResourceURLs)
}

func joinSubjects(have, want []rbacv1.Subject) []rbacv1.Subject {
	out := slices.Clone(have)
	for _, s := range want {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func fill[T metav1.Object](stored, defaults []T, merge func(have, want T) T) []T {
	at := make(map[string]int, len(stored))
	for i, obj := range stored {
		at[obj.GetNamespace()+"/"+obj.GetName()] = i
	}
	for _, want := range defaults {
		i, ok := at[want.GetNamespace()+"/"+want.GetName()]
		switch {
		case !ok:
			stored = append(stored, want)
		case stored[i].GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "true":
			stored[i] = merge(stored[i], want)
		}
	}
	return stored
}

// componentsOnly keeps the bindings of users and service accounts, which are
// all of the system, and leaves out those of groups of people.
func (o Objects) componentsOnly() Objects {
	out := Objects{ClusterRoles: o.ClusterRoles, Roles: o.Roles}
	keep := func(subjects []rbacv1.Subject) bool {
		for _, s := range subjects {
			if s.Kind == rbacv1.GroupKind {
				return false
			}
		}
		return len(subjects) > 0
	}
	for _, b := range o.ClusterRoleBindings {
		if keep(b.Subjects) {
			out.ClusterRoleBindings = append(out.ClusterRoleBindings, b)
		}
	}
	for _, b := range o.RoleBindings {
		if keep(b.Subjects) {
			out.RoleBindings = append(out.RoleBindings, b)
		}
	}
	return out
}
