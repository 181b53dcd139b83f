package quota

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
)

type attributes = admission.Attributes

// evaluator is the library's view of rules.
type evaluator struct {
	resource schema.GroupResource
	list     generic.ListFuncByNamespace
	rules    rules
}

var _ v1.Evaluator = evaluator{}

// GroupResource implements v1.Evaluator.
func (e evaluator) GroupResource() schema.GroupResource { return e.resource }

// Handles implements v1.Evaluator.
func (e evaluator) Handles(a admission.Attributes) bool { return e.rules.handles(a) }

// Constraints implements v1.Evaluator.
func (e evaluator) Constraints(required []corev1.ResourceName, obj runtime.Object) error {
	return e.rules.constraints(required, obj)
}

// Matches implements v1.Evaluator.
func (e evaluator) Matches(q *corev1.ResourceQuota, obj runtime.Object) (bool, error) {
	return generic.Matches(q, obj, e.MatchingResources, e.rules.inScope)
}

// MatchingResources implements v1.Evaluator.
func (e evaluator) MatchingResources(names []corev1.ResourceName) []corev1.ResourceName {
	out := []corev1.ResourceName{}
	for _, name := range names {
		if e.rules.tracked(name) {
			out = append(out, name)
		}
	}
	return out
}

// MatchingScopes implements v1.Evaluator.
func (e evaluator) MatchingScopes(obj runtime.Object, scopes []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	out := []corev1.ScopedResourceSelectorRequirement{}
	if !e.rules.scoped() {
		return out, nil
	}
	for _, scope := range scopes {
		in, err := e.rules.inScope(scope, obj)
		if err != nil {
			return nil, fmt.Errorf("error on matching scope %v: %w", scope, err)
		}
		if in {
			out = append(out, scope)
		}
	}
	return out, nil
}

// UncoveredQuotaScopes implements v1.Evaluator.
func (e evaluator) UncoveredQuotaScopes(limited, matched []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	out := []corev1.ScopedResourceSelectorRequirement{}
	if !e.rules.scoped() {
		return out, nil
	}
	for _, scope := range limited {
		same := func(m corev1.ScopedResourceSelectorRequirement) bool { return m.ScopeName == scope.ScopeName }
		if !slices.ContainsFunc(matched, same) {
			out = append(out, scope)
		}
	}
	return out, nil
}

// Usage implements v1.Evaluator.
func (e evaluator) Usage(obj runtime.Object) (corev1.ResourceList, error) { return e.rules.usage(obj) }

// UsageStats implements v1.Evaluator.
func (e evaluator) UsageStats(o v1.UsageStatsOptions) (v1.UsageStats, error) {
	return generic.CalculateUsageStats(o, e.list, e.rules.inScope, e.rules.usage)
}
