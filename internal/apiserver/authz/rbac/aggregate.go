package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func notFound(resource, name string) error {
	return errors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, name)
}

// aggregate returns the rules of each role by name, those of aggregated roles
// gathered from the roles they select. A selected role may be aggregated
// itself; circles end where they begin.
func aggregate(roles []*rbacv1.ClusterRole) map[string][]rbacv1.PolicyRule {
	sorted := slices.SortedFunc(slices.Values(roles), func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	rules := make(map[string][]rbacv1.PolicyRule, len(sorted))
	for _, r := range sorted {
		if r.AggregationRule == nil {
			rules[r.Name] = r.Rules
			continue
		}
		rules[r.Name] = gather(r, sorted, map[string]bool{})
	}
	return rules
}

func gather(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole, seen map[string]bool) []rbacv1.PolicyRule {
	seen[role.Name] = true
	var out []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			continue // validation refuses such a selector
		}
		for _, other := range all {
			if seen[other.Name] || !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			rules := other.Rules
			if other.AggregationRule != nil {
				rules = gather(other, all, seen)
			}
			for _, rule := range rules {
				if !slices.ContainsFunc(out, func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, rule) }) {
					out = append(out, rule)
				}
			}
		}
	}
	return out
}

// Aggregate returns the rules that role has in the company of all: its own, or
// when it is aggregated those of the roles it selects.
func Aggregate(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) []rbacv1.PolicyRule {
	if role.AggregationRule == nil {
		return role.Rules
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	return gather(role, sorted, map[string]bool{})
}
