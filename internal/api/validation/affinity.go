package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	requiredTerms  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferredTerms = "preferredDuringSchedulingIgnoredDuringExecution"
	weightRange    = "must be in the range 1-100"
)

func (c *podCheck) affinity(p *field.Path, a *corev1.Affinity) {
	if a == nil {
		return
	}
	if n := a.NodeAffinity; n != nil {
		p := p.Child("nodeAffinity")
		if n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			c.nodeSelector(p.Child(requiredTerms), n.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			t, p := &n.PreferredDuringSchedulingIgnoredDuringExecution[i], p.Child(preferredTerms).Index(i)
			c.weight(p.Child("weight"), t.Weight)
			c.nodeSelectorTerm(p.Child("preference"), &t.Preference, true)
		}
	}
	if x := a.PodAffinity; x != nil {
		c.podTerms(p.Child("podAffinity"), x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if x := a.PodAntiAffinity; x != nil {
		c.podTerms(p.Child("podAntiAffinity"), x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (f *findings) weight(p *field.Path, w int32) {
	if w < 1 || w > 100 {
		f.invalid(p, w, weightRange)
	}
}

func (f *findings) nodeSelector(p *field.Path, s *corev1.NodeSelector) {
	p = p.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		f.required(p, "must have at least one node selector term")
	}
	for i := range s.NodeSelectorTerms {
		f.nodeSelectorTerm(p.Index(i), &s.NodeSelectorTerms[i], false)
	}
}

// nodeSelectorTerm checks one term; a mere wish may name any label value.
func (f *findings) nodeSelectorTerm(p *field.Path, t *corev1.NodeSelectorTerm, anyValue bool) {
	for i := range t.MatchExpressions {
		f.nodeLabelRequirement(p.Child("matchExpressions").Index(i), &t.MatchExpressions[i], anyValue)
	}
	for i := range t.MatchFields {
		f.nodeFieldRequirement(p.Child("matchFields").Index(i), &t.MatchFields[i])
	}
}

func (f *findings) nodeLabelRequirement(p *field.Path, r *corev1.NodeSelectorRequirement, anyValue bool) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			f.required(p.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			f.forbidden(p.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			f.required(p.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")
		}
	default:
		f.invalid(p.Child("operator"), r.Operator, "not a valid selector operator")
	}
	f.add(metavalidation.ValidateLabelName(r.Key, p.Child("key"))...)
	if anyValue {
		return
	}
	for i, v := range r.Values {
		f.messages(p.Child("values").Index(i), v, validation.IsValidLabelValue(v))
	}
}

func (f *findings) nodeFieldRequirement(p *field.Path, r *corev1.NodeSelectorRequirement) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			f.required(p.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
		}
	default:
		f.invalid(p.Child("operator"), r.Operator, "not a valid selector operator")
	}
	if r.Key != metav1.ObjectNameField {
		f.invalid(p.Child("key"), r.Key, "not a valid field selector key")
		return
	}
	for i, v := range r.Values {
		f.messages(p.Child("values").Index(i), v, apivalidation.NameIsDNSSubdomain(v, false))
	}
}

func (c *podCheck) podTerms(p *field.Path, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
	for i := range required {
		c.podTerm(p.Child(requiredTerms).Index(i), &required[i])
	}
	for i := range preferred {
		p := p.Child(preferredTerms).Index(i)
		c.weight(p.Child("weight"), preferred[i].Weight)
		c.podTerm(p.Child("podAffinityTerm"), &preferred[i].PodAffinityTerm)
	}
}

func (c *podCheck) podTerm(p *field.Path, t *corev1.PodAffinityTerm) {
	c.selector(t.LabelSelector, p.Child("labelSelector"))
	c.selector(t.NamespaceSelector, p.Child("namespaceSelector"))
	for _, n := range t.Namespaces {
		c.messages(p.Child("namespace"), n, apivalidation.ValidateNamespaceName(n, false))
	}
	c.labelKeys(p, t.LabelSelector, t.MatchLabelKeys, t.MismatchLabelKeys)
	if t.TopologyKey == "" {
		c.required(p.Child("topologyKey"), "can not be empty")
	}
	c.add(metavalidation.ValidateLabelName(t.TopologyKey, p.Child("topologyKey"))...)
}

// labelKeys checks the keys whose values are taken from the pod itself.
func (c *podCheck) labelKeys(p *field.Path, selector *metav1.LabelSelector, matched, mismatched []string) {
	for _, l := range []struct {
		name string
		keys []string
	}{{"matchLabelKeys", matched}, {"mismatchLabelKeys", mismatched}} {
		if len(l.keys) == 0 {
			continue
		}
		if selector == nil {
			c.forbidden(p.Child(l.name), "must not be specified when labelSelector is not set")
			continue
		}
		for i, key := range l.keys {
			c.add(metavalidation.ValidateLabelName(key, p.Child(l.name).Index(i))...)
		}
	}
	if selector != nil {
		// A key of matchLabelKeys stands in the selector once, put there by the
		// server; a second time means that the user wrote it too.
		seen := names{}
		for key := range selector.MatchLabels {
			seen.use(key)
		}
		for _, e := range selector.MatchExpressions {
			i := slices.Index(matched, e.Key)
			if !seen.use(e.Key) && i >= 0 {
				c.invalid(p.Index(i), e.Key, "exists in both matchLabelKeys and labelSelector")
			}
		}
	}
	for i, key := range matched {
		if slices.Contains(mismatched, key) {
			c.invalid(p.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys")
		}
	}
}
