package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ResourceQuota checks a new ResourceQuota.
func ResourceQuota(q *corev1.ResourceQuota) field.ErrorList {
	f := &findings{}
	f.meta(&q.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	f.quotaSpec(&q.Spec)
	f.quotaAmounts(q.Status.Hard, statusPath.Child("hard"))
	f.quotaAmounts(q.Status.Used, statusPath.Child("used"))
	return f.list
}

// ResourceQuotaUpdate checks a change of one.
func ResourceQuotaUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&q.ObjectMeta, &old.ObjectMeta)
	f.quotaSpec(&q.Spec)
	if !slices.Equal(scopeSet(q.Spec.Scopes), scopeSet(old.Spec.Scopes)) {
		f.invalid(specPath.Child("scopes"), q.Spec.Scopes, fieldIsImmutable)
	}
	return f.list
}

// ResourceQuotaStatusUpdate checks a change of a quota's status.
func ResourceQuotaStatusUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&q.ObjectMeta, &old.ObjectMeta)
	f.notEmpty(field.NewPath("resourceVersion"), q.ResourceVersion)
	f.quotaAmounts(q.Status.Hard, statusPath.Child("hard"))
	f.quotaAmounts(q.Status.Used, statusPath.Child("used"))
	return f.list
}

func scopeSet(list []corev1.ResourceQuotaScope) []corev1.ResourceQuotaScope {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func (f *findings) quotaSpec(s *corev1.ResourceQuotaSpec) {
	f.quotaAmounts(s.Hard, specPath.Child("hard"))
	scopes := specPath.Child("scopes")
	for _, scope := range s.Scopes {
		if !standardScope(scope) {
			f.invalid(scopes, s.Scopes, "unsupported scope")
		}
		f.scopeOfResources(scope, s, scopes, s.Scopes)
	}
	f.scopesAgree(s.Scopes, scopes, s)
	if s.ScopeSelector == nil {
		return
	}
	p := specPath.Child("scopeSelector", "matchExpressions")
	var named []corev1.ResourceQuotaScope
	for i := range s.ScopeSelector.MatchExpressions {
		r := &s.ScopeSelector.MatchExpressions[i]
		named = append(named, r.ScopeName)
		if !standardScope(r.ScopeName) {
			f.invalid(p.Child("scopeName"), r.ScopeName, "unsupported scope")
		}
		f.scopeOfResources(r.ScopeName, s, p, s.ScopeSelector)
		f.scopeOperator(r, p)
	}
	f.scopesAgree(named, p, s)
}

func (f *findings) quotaAmounts(list corev1.ResourceList, p *field.Path) {
	for _, name := range sortedNames(list) {
		at := p.Key(string(name))
		f.resourceName(at, name)
		if !strings.Contains(string(name), "/") && !quotaResource(name) {
			f.invalid(at, name, "must be a standard resource for quota")
		}
		f.quantity(at, name, list[name])
	}
}

func quotaResource(n corev1.ResourceName) bool {
	return n != corev1.ResourceStorage && standardResource(n)
}

func standardScope(s corev1.ResourceQuotaScope) bool {
	switch s {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity, corev1.ResourceQuotaScopeVolumeAttributesClass:
		return true
	}
	return false
}

// scopeOfResources refuses a scope that a limited resource knows nothing of.
func (f *findings) scopeOfResources(scope corev1.ResourceQuotaScope, s *corev1.ResourceQuotaSpec, p *field.Path, value any) {
	for _, name := range sortedNames(s.Hard) {
		if quotaResource(name) && !scopeFits(scope, name) {
			f.invalid(p, value, "unsupported scope applied to resource")
		}
	}
}

func scopeFits(scope corev1.ResourceQuotaScope, n corev1.ResourceName) bool {
	compute := func() bool {
		switch n {
		case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
			corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory:
			return true
		}
		return false
	}
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return n == corev1.ResourcePods || compute()
	case corev1.ResourceQuotaScopeBestEffort:
		return n == corev1.ResourcePods
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		return n == corev1.ResourcePersistentVolumeClaims || n == corev1.ResourceRequestsStorage
	}
	return true
}

func (f *findings) scopesAgree(scopes []corev1.ResourceQuotaScope, p *field.Path, s *corev1.ResourceQuotaSpec) {
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(scopes, pair[0]) && slices.Contains(scopes, pair[1]) {
			f.invalid(p, s.Scopes, "conflicting scopes")
		}
	}
}

func (f *findings) scopeOperator(r *corev1.ScopedResourceSelectorRequirement, p *field.Path) {
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating,
		corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		if r.Operator != corev1.ScopeSelectorOpExists {
			f.invalid(p.Child("operator"), r.Operator,
				"must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity")
		}
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			f.required(p.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			f.invalid(p.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
		}
	default:
		f.invalid(p.Child("operator"), r.Operator, "not a valid selector operator")
	}
}
