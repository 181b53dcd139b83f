package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	webhookTimeout = 10 // seconds
	webhookPort    = 443
)

func fill[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

func defaultValidatingWebhooks(o *admissionregistrationv1.ValidatingWebhookConfiguration) {
	for i := range o.Webhooks {
		h := &o.Webhooks[i]
		defaultMatching(&h.MatchPolicy, &h.NamespaceSelector, &h.ObjectSelector)
		defaultCall(&h.FailurePolicy, &h.TimeoutSeconds, &h.ClientConfig)
		for j := range h.Rules {
			defaultRule(&h.Rules[j])
		}
	}
}

func defaultMutatingWebhooks(o *admissionregistrationv1.MutatingWebhookConfiguration) {
	for i := range o.Webhooks {
		h := &o.Webhooks[i]
		defaultMatching(&h.MatchPolicy, &h.NamespaceSelector, &h.ObjectSelector)
		defaultCall(&h.FailurePolicy, &h.TimeoutSeconds, &h.ClientConfig)
		fill(&h.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
		for j := range h.Rules {
			defaultRule(&h.Rules[j])
		}
	}
}

func defaultCall(failure **admissionregistrationv1.FailurePolicyType, timeout **int32, c *admissionregistrationv1.WebhookClientConfig) {
	fill(failure, admissionregistrationv1.Fail)
	fill(timeout, webhookTimeout)
	if c.Service != nil {
		fill(&c.Service.Port, webhookPort)
	}
}

func defaultMatching(policy **admissionregistrationv1.MatchPolicyType, namespaces, objects **metav1.LabelSelector) {
	fill(policy, admissionregistrationv1.Equivalent)
	fill(namespaces, metav1.LabelSelector{})
	fill(objects, metav1.LabelSelector{})
}

func defaultRule(r *admissionregistrationv1.RuleWithOperations) {
	fill(&r.Scope, admissionregistrationv1.AllScopes)
}

func defaultMatchResources(m *admissionregistrationv1.MatchResources) {
	if m == nil {
		return
	}
	defaultMatching(&m.MatchPolicy, &m.NamespaceSelector, &m.ObjectSelector)
	for i := range m.ResourceRules {
		defaultRule(&m.ResourceRules[i].RuleWithOperations)
	}
	for i := range m.ExcludeResourceRules {
		defaultRule(&m.ExcludeResourceRules[i].RuleWithOperations)
	}
}

func defaultValidatingPolicy(o *admissionregistrationv1.ValidatingAdmissionPolicy) {
	fill(&o.Spec.FailurePolicy, admissionregistrationv1.Fail)
	defaultMatchResources(o.Spec.MatchConstraints)
}

func defaultMutatingPolicy(o *admissionregistrationv1.MutatingAdmissionPolicy) {
	fill(&o.Spec.FailurePolicy, admissionregistrationv1.Fail)
	defaultMatchResources(o.Spec.MatchConstraints)
}
