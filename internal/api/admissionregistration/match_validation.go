package admissionregistration

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkConstraints checks what a policy is about; all of it must be given.
func checkConstraints(m *admissionregistrationv1.MatchResources, p *field.Path) field.ErrorList {
	if m == nil {
		return field.ErrorList{field.Required(p, "")}
	}
	errs := checkMatchResources(m, p)
	if len(m.ResourceRules) == 0 {
		errs = append(errs, field.Required(p.Child("resourceRules"), ""))
	}
	return errs
}

func checkMatchResources(m *admissionregistrationv1.MatchResources, p *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	var errs field.ErrorList
	if m.MatchPolicy == nil {
		errs = append(errs, field.Required(p.Child("matchPolicy"), ""))
	}
	errs = append(errs, oneOf(p.Child("matchPolicy"), m.MatchPolicy, matchPolicies)...)
	errs = append(errs, checkSelector(m.NamespaceSelector, p.Child("namespaceSelector"))...)
	errs = append(errs, checkSelector(m.ObjectSelector, p.Child("objectSelector"))...)
	for i := range m.ResourceRules {
		errs = append(errs, checkNamedRule(&m.ResourceRules[i], p.Child("resourceRules").Index(i))...)
	}
	for i := range m.ExcludeResourceRules {
		errs = append(errs, checkNamedRule(&m.ExcludeResourceRules[i], p.Child("excludeResourceRules").Index(i))...)
	}
	return errs
}

func checkSelector(s *metav1.LabelSelector, p *field.Path) field.ErrorList {
	if s == nil {
		return field.ErrorList{field.Required(p, "")}
	}
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, p)
}

func checkNamedRule(r *admissionregistrationv1.NamedRuleWithOperations, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range r.ResourceNames {
		at := p.Child("resourceNames").Index(i)
		for _, m := range content.IsPathSegmentName(name) {
			errs = append(errs, field.Invalid(at, name, m))
		}
		if slices.Contains(r.ResourceNames[:i], name) {
			errs = append(errs, field.Duplicate(at, name))
		}
	}
	return append(errs, checkRule(&r.RuleWithOperations, p)...)
}

// checkMutable refuses operations in which nothing can be changed.
func checkMutable(m *admissionregistrationv1.MatchResources, p *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	var errs field.ErrorList
	for _, r := range m.ResourceRules {
		for i := range r.Operations {
			errs = append(errs, oneOf(p.Child("resourceRules", "operations"), &r.Operations[i], mutatingOperations)...)
		}
	}
	return errs
}

func checkParamKind(k *admissionregistrationv1.ParamKind, p *field.Path) field.ErrorList {
	if k == nil {
		return nil
	}
	var errs field.ErrorList
	version := p.Child("apiVersion")
	group, v, grouped := strings.Cut(k.APIVersion, "/")
	if !grouped {
		group, v = "", k.APIVersion
	}
	switch {
	case k.APIVersion == "":
		errs = append(errs, field.Required(version, ""))
	case strings.Count(k.APIVersion, "/") > 1:
		errs = append(errs, field.Invalid(version, k.APIVersion, unparsable(k.APIVersion).Error()))
	default:
		if m := validation.IsDNS1123Subdomain(group); group != "" && len(m) > 0 {
			errs = append(errs, field.Invalid(version, group, strings.Join(m, ",")))
		}
		if v == "" {
			errs = append(errs, field.Invalid(version, k.APIVersion, "version must be specified"))
		} else if m := validation.IsDNS1035Label(v); len(m) > 0 {
			errs = append(errs, field.Invalid(version, v, strings.Join(m, ",")))
		}
	}
	if k.Kind == "" {
		errs = append(errs, field.Required(p.Child("kind"), ""))
	} else if m := validation.IsDNS1035Label(strings.ToLower(k.Kind)); len(m) > 0 {
		errs = append(errs, field.Invalid(p.Child("kind"), k.Kind, "may have mixed case, but should otherwise match: "+strings.Join(m, ",")))
	}
	return errs
}

func checkPolicyName(name string, p *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	var errs field.ErrorList
	for _, m := range apivalidation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(p, name, m))
	}
	return errs
}

var notFoundActions = []admissionregistrationv1.ParameterNotFoundActionType{admissionregistrationv1.DenyAction, admissionregistrationv1.AllowAction}

func checkParamRef(r *admissionregistrationv1.ParamRef, p *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	const either = "name and selector are mutually exclusive"
	var errs field.ErrorList
	if r.Name != "" {
		for _, m := range content.IsPathSegmentName(r.Name) {
			errs = append(errs, field.Invalid(p.Child("name"), r.Name, m))
		}
		if r.Selector != nil {
			errs = append(errs, field.Forbidden(p.Child("name"), either))
		}
	}
	if r.Selector != nil {
		errs = append(errs, checkSelector(r.Selector, p.Child("selector"))...)
		if r.Name != "" {
			errs = append(errs, field.Forbidden(p.Child("selector"), either))
		}
	}
	if r.Name == "" && r.Selector == nil {
		errs = append(errs, field.Required(p, "one of name or selector must be specified"))
	}
	action := p.Child("parameterNotFoundAction")
	if r.ParameterNotFoundAction == nil || *r.ParameterNotFoundAction == "" {
		return append(errs, field.Required(action, ""))
	}
	return append(errs, oneOf(action, r.ParameterNotFoundAction, notFoundActions)...)
}
