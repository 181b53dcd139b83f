package admissionregistration

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Allowed values, in the order of upstream's messages.
var (
	failurePolicies      = []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore}
	matchPolicies        = []admissionregistrationv1.MatchPolicyType{admissionregistrationv1.Equivalent, admissionregistrationv1.Exact}
	reinvocationPolicies = []admissionregistrationv1.ReinvocationPolicyType{admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy}
	harmless             = []admissionregistrationv1.SideEffectClass{admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.SideEffectClassNoneOnDryRun}
	sideEffects          = []admissionregistrationv1.SideEffectClass{
		admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.SideEffectClassNoneOnDryRun,
		admissionregistrationv1.SideEffectClassSome, admissionregistrationv1.SideEffectClassUnknown,
	}
	scopes     = []admissionregistrationv1.ScopeType{admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope}
	operations = []admissionregistrationv1.OperationType{
		admissionregistrationv1.OperationAll, admissionregistrationv1.Connect, admissionregistrationv1.Create,
		admissionregistrationv1.Delete, admissionregistrationv1.Update,
	}
	// What is deleted cannot be changed on the way.
	mutatingOperations = []admissionregistrationv1.OperationType{
		admissionregistrationv1.OperationAll, admissionregistrationv1.Connect, admissionregistrationv1.Create, admissionregistrationv1.Update,
	}
)

func joined[T ~string](list []T) string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

// oneOf refuses a value that is set and not allowed.
func oneOf[T ~string](p *field.Path, value *T, allowed []T) field.ErrorList {
	if value == nil || slices.Contains(allowed, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(p, *value, allowed)}
}

func checkRule(r *admissionregistrationv1.RuleWithOperations, p *field.Path) field.ErrorList {
	errs := checkAll(r.Operations, p.Child("operations"), "if '*' is present, must not specify other operations")
	for i := range r.Operations {
		errs = append(errs, oneOf(p.Child("operations").Index(i), &r.Operations[i], operations)...)
	}
	errs = append(errs, checkAll(r.APIGroups, p.Child("apiGroups"), "if '*' is present, must not specify other API groups")...)
	errs = append(errs, checkAll(r.APIVersions, p.Child("apiVersions"), "if '*' is present, must not specify other API versions")...)
	for i, v := range r.APIVersions {
		if v == "" {
			errs = append(errs, field.Required(p.Child("apiVersions").Index(i), ""))
		}
	}
	errs = append(errs, checkResources(r.Resources, p.Child("resources"))...)
	return append(errs, oneOf(p.Child("scope"), r.Scope, scopes)...)
}

// checkAll wants at least one value, and a star alone.
func checkAll[T ~string](list []T, p *field.Path, notAlone string) field.ErrorList {
	switch {
	case len(list) == 0:
		return field.ErrorList{field.Required(p, "")}
	case len(list) > 1 && slices.Contains(list, "*"):
		return field.ErrorList{field.Invalid(p, list, notAlone)}
	}
	return nil
}

// checkResources refuses lists in which one entry says what another one has
// said already: "pods/*" and "pods/status", "*" and "pods".
func checkResources(list []string, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) == 0 {
		errs = append(errs, field.Required(p, ""))
	}
	allOf, everywhere := map[string]bool{}, map[string]bool{} // pods/* and */status
	plain := false                                            // the last one without a subresource was no star
	for i, name := range list {
		if name == "" {
			errs = append(errs, field.Required(p.Index(i), ""))
			continue
		}
		resource, sub, both := strings.Cut(name, "/")
		if !both {
			plain = name != "*"
			continue
		}
		if allOf[resource] {
			errs = append(errs, field.Invalid(p.Index(i), name, fmt.Sprintf("if '%s/*' is present, must not specify %s", resource, name)))
		}
		if everywhere[sub] {
			errs = append(errs, field.Invalid(p.Index(i), name, fmt.Sprintf("if '*/%s' is present, must not specify %s", sub, name)))
		}
		allOf[resource] = allOf[resource] || sub == "*"
		everywhere[sub] = everywhere[sub] || resource == "*"
	}
	if len(list) > 1 && slices.Contains(list, "*/*") {
		errs = append(errs, field.Invalid(p, list, "if '*/*' is present, must not specify other resources"))
	}
	if plain && slices.Contains(list, "*") {
		errs = append(errs, field.Invalid(p, list, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}
