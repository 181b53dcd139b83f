package admissionregistration

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/webhook"
)

// hook is what both kinds of webhook have in common, and reinvocation, which
// only mutating ones have.
type hook struct {
	admissionregistrationv1.ValidatingWebhook
	reinvocation *admissionregistrationv1.ReinvocationPolicyType
}

func validatingHooks(o *admissionregistrationv1.ValidatingWebhookConfiguration) []hook {
	var out []hook
	for _, h := range o.Webhooks {
		out = append(out, hook{ValidatingWebhook: h})
	}
	return out
}

func mutatingHooks(o *admissionregistrationv1.MutatingWebhookConfiguration) []hook {
	var out []hook
	for _, h := range o.Webhooks {
		out = append(out, hook{reinvocation: h.ReinvocationPolicy, ValidatingWebhook: admissionregistrationv1.ValidatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
			NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects, TimeoutSeconds: h.TimeoutSeconds,
			AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
		}})
	}
	return out
}

func checkValidatingWebhooks(o *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	return append(checkHooks(&o.ObjectMeta, validatingHooks(o), nil), reserved(o.Name)...)
}

func checkValidatingWebhooksUpdate(o, old *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	was := leniency(validatingHooks(old), validatingHooks(o))
	return checkHooks(&o.ObjectMeta, validatingHooks(o), &was)
}

func checkMutatingWebhooks(o *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	return append(checkHooks(&o.ObjectMeta, mutatingHooks(o), nil), reserved(o.Name)...)
}

func checkMutatingWebhooksUpdate(o, old *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	was := leniency(mutatingHooks(old), mutatingHooks(o))
	return checkHooks(&o.ObjectMeta, mutatingHooks(o), &was)
}

// lenient says what is let pass on update because the stored object has it
// already, from a time when less was checked.
type lenient struct {
	conditionsUnchanged bool
	sideEffects         bool
	unknownReviews      bool
	sameNames           bool
	badSelectorValues   bool
	stored              stored
}

func leniency(old, updated []hook) lenient {
	l := lenient{stored: stored{}}
	names := map[string]bool{}
	for _, h := range old {
		l.sideEffects = l.sideEffects || h.SideEffects == nil || !slices.Contains(harmless, *h.SideEffects)
		l.unknownReviews = l.unknownReviews || len(h.AdmissionReviewVersions) > 0 && !slices.ContainsFunc(h.AdmissionReviewVersions, knownReview)
		l.sameNames = l.sameNames || names[h.Name]
		names[h.Name] = true
		for _, s := range []*metav1.LabelSelector{h.NamespaceSelector, h.ObjectSelector} {
			l.badSelectorValues = l.badSelectorValues || s != nil && len(metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0
		}
		for _, c := range h.MatchConditions {
			l.stored.add(matchExpression, c.Expression)
		}
	}
	conditions := func(a, b hook) bool { return reflect.DeepEqual(a.MatchConditions, b.MatchConditions) }
	l.conditionsUnchanged = slices.EqualFunc(old, updated, conditions)
	return l
}

func checkHooks(meta *metav1.ObjectMeta, hooks []hook, was *lenient) field.ErrorList {
	if was == nil {
		was = &lenient{}
	}
	errs := checkMeta(meta)
	names := map[string]bool{}
	for i := range hooks {
		h, p := &hooks[i], field.NewPath("webhooks").Index(i)
		errs = append(errs, checkHook(h, was, p)...)
		errs = append(errs, checkReviewVersions(h.AdmissionReviewVersions, was.unknownReviews, p.Child("admissionReviewVersions"))...)
		if !was.sameNames && h.Name != "" && names[h.Name] {
			errs = append(errs, field.Duplicate(p.Child("name"), h.Name))
		}
		names[h.Name] = true
	}
	return errs
}

func checkHook(h *hook, was *lenient, p *field.Path) field.ErrorList {
	errs := utilvalidation.IsFullyQualifiedName(p.Child("name"), h.Name)
	for i := range h.Rules {
		errs = append(errs, checkRule(&h.Rules[i], p.Child("rules").Index(i))...)
	}
	errs = append(errs, oneOf(p.Child("failurePolicy"), h.FailurePolicy, failurePolicies)...)
	errs = append(errs, oneOf(p.Child("matchPolicy"), h.MatchPolicy, matchPolicies)...)
	allowed := harmless
	if was.sideEffects {
		allowed = sideEffects
	}
	if h.SideEffects == nil {
		errs = append(errs, field.Required(p.Child("sideEffects"), "must specify one of "+joined(allowed)))
	}
	errs = append(errs, oneOf(p.Child("sideEffects"), h.SideEffects, allowed)...)
	if s := h.TimeoutSeconds; s != nil && (*s < 1 || *s > 30) {
		errs = append(errs, field.Invalid(p.Child("timeoutSeconds"), *s, "the timeout value must be between 1 and 30 seconds"))
	}
	options := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: was.badSelectorValues}
	errs = append(errs, metavalidation.ValidateLabelSelector(h.NamespaceSelector, options, p.Child("namespaceSelector"))...)
	errs = append(errs, metavalidation.ValidateLabelSelector(h.ObjectSelector, options, p.Child("objectSelector"))...)
	errs = append(errs, oneOf(p.Child("reinvocationPolicy"), h.reinvocation, reinvocationPolicies)...)
	errs = append(errs, checkClient(&h.ClientConfig, p.Child("clientConfig"))...)
	if !was.conditionsUnchanged {
		errs = append(errs, checkConditions(h.MatchConditions, expressions{stored: was.stored}, p.Child("matchConditions"))...)
	}
	return errs
}

func checkClient(c *admissionregistrationv1.WebhookClientConfig, p *field.Path) field.ErrorList {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		return field.ErrorList{field.Required(p, "exactly one of url or service is required")}
	case c.URL != nil:
		return webhook.ValidateWebhookURL(p.Child("url"), *c.URL, true)
	}
	port := int32(webhookPort)
	if c.Service.Port != nil {
		port = *c.Service.Port
	}
	return webhook.ValidateWebhookService(p.Child("service"), c.Service.Name, c.Service.Namespace, c.Service.Path, port)
}

// reviews are the versions of AdmissionReview that the server speaks.
var reviews = []string{"v1", "v1beta1"}

func knownReview(version string) bool { return slices.Contains(reviews, version) }

func checkReviewVersions(versions []string, lenient bool, p *field.Path) field.ErrorList {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(p, "must specify one of "+strings.Join(reviews, ", "))}
	}
	var errs field.ErrorList
	for i, v := range versions {
		if slices.Contains(versions[:i], v) {
			errs = append(errs, field.Invalid(p.Index(i), v, "duplicate version"))
			continue
		}
		for _, m := range utilvalidation.IsDNS1035Label(v) {
			errs = append(errs, field.Invalid(p.Index(i), v, m))
		}
	}
	if !lenient && !slices.ContainsFunc(versions, knownReview) {
		errs = append(errs, field.Invalid(p, versions, fmt.Sprintf("must include at least one of %s", strings.Join(reviews, ", "))))
	}
	return errs
}
