package flowcontrol

import (
	"fmt"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	"berth.dev/berth/internal/api/validation"
)

const all = "*"

var verbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"}

func validateFlowSchema(s *flowcontrolv1.FlowSchema) field.ErrorList {
	var f validation.Findings
	f.Meta(&s.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	flowSchemaSpec(&f, s.Name, &s.Spec)
	for _, fixed := range bootstrap.MandatoryFlowSchemas {
		if fixed.Name == s.Name && !equality.Semantic.DeepEqual(fixed.Spec, s.Spec) {
			f.Invalid(specPath, validation.Untagged(s.Spec), fmt.Sprintf("spec of '%s' must equal the fixed value", s.Name))
		}
	}
	f.Add(flowSchemaStatus(&s.Status)...)
	return f.List()
}

func flowSchemaSpec(f *validation.Findings, name string, s *flowcontrolv1.FlowSchemaSpec) {
	p, n := specPath.Child("matchingPrecedence"), s.MatchingPrecedence
	if n <= 0 {
		f.Invalid(p, n, "must be a positive value")
	}
	if n > flowcontrolv1.FlowSchemaMaxMatchingPrecedence {
		f.Invalid(p, n, fmt.Sprintf("must not be greater than %v", flowcontrolv1.FlowSchemaMaxMatchingPrecedence))
	}
	if n == 1 && name != "exempt" {
		f.Invalid(p, n, "only the schema named 'exempt' may have matchingPrecedence 1")
	}
	methods := []string{string(flowcontrolv1.FlowDistinguisherMethodByNamespaceType), string(flowcontrolv1.FlowDistinguisherMethodByUserType)}
	if m := s.DistinguisherMethod; m != nil && !slices.Contains(methods, string(m.Type)) {
		f.Add(field.NotSupported(specPath.Child("distinguisherMethod", "type"), validation.Untagged(m), methods))
	}
	p = specPath.Child("priorityLevelConfiguration", "name")
	if level := s.PriorityLevelConfiguration.Name; level != "" {
		f.Messages(p, level, apivalidation.NameIsDNSSubdomain(level, false))
	} else {
		f.Required(p, "must reference a priority level")
	}
	for i := range s.Rules {
		rule(f, specPath.Child("rules").Index(i), &s.Rules[i])
	}
}

func rule(f *validation.Findings, p *field.Path, r *flowcontrolv1.PolicyRulesWithSubjects) {
	if len(r.Subjects) == 0 {
		f.Required(p.Child("subjects"), "subjects must contain at least one value")
	}
	for i := range r.Subjects {
		subject(f, p.Child("subjects").Index(i), &r.Subjects[i])
	}
	if len(r.ResourceRules) == 0 && len(r.NonResourceRules) == 0 {
		f.Required(p, "at least one of resourceRules and nonResourceRules has to be non-empty")
	}
	for i := range r.ResourceRules {
		resourceRule(f, p.Child("resourceRules").Index(i), &r.ResourceRules[i])
	}
	for i := range r.NonResourceRules {
		nonResourceRule(f, p.Child("nonResourceRules").Index(i), &r.NonResourceRules[i])
	}
}

func subject(f *validation.Findings, p *field.Path, s *flowcontrolv1.Subject) {
	forms := []struct {
		kind  flowcontrolv1.SubjectKind
		name  string
		given bool
		check func(*field.Path)
	}{
		{flowcontrolv1.SubjectKindServiceAccount, "serviceAccount", s.ServiceAccount != nil, func(p *field.Path) { account(f, p, s.ServiceAccount) }},
		{flowcontrolv1.SubjectKindUser, "user", s.User != nil, func(p *field.Path) { f.NotEmpty(p.Child("name"), s.User.Name) }},
		{flowcontrolv1.SubjectKindGroup, "group", s.Group != nil, func(p *field.Path) { f.NotEmpty(p.Child("name"), s.Group.Name) }},
	}
	known := false
	for _, form := range forms {
		if form.kind != s.Kind {
			continue
		}
		known = true
		if !form.given {
			f.Required(p.Child(form.name), fmt.Sprintf("%s is required when subject kind is '%s'", form.name, form.kind))
		} else {
			form.check(p.Child(form.name))
		}
	}
	if !known {
		f.Add(field.NotSupported(p.Child("kind"), s.Kind, []string{"Group", "ServiceAccount", "User"}))
		return
	}
	for _, form := range forms {
		if form.given && form.kind != s.Kind {
			f.Forbidden(p.Child(form.name), fmt.Sprintf("%s is forbidden when subject kind is not '%s'", form.name, form.kind))
		}
	}
}

func account(f *validation.Findings, p *field.Path, s *flowcontrolv1.ServiceAccountSubject) {
	if f.NotEmpty(p.Child("name"), s.Name) && s.Name != all {
		f.Messages(p.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))
	}
	if s.Namespace == "" {
		f.Required(p.Child("namespace"), "must specify namespace for service account")
	} else {
		f.Messages(p.Child("namespace"), s.Namespace, apivalidation.ValidateNamespaceName(s.Namespace, false))
	}
}

func ruleVerbs(f *validation.Findings, p *field.Path, list []string) {
	unknown := func(v string) bool { return !slices.Contains(verbs, v) }
	switch {
	case len(list) == 0:
		f.Required(p, "verbs must contain at least one value")
	case slices.Contains(list, all):
		alone(f, p, list, "verbs")
	case slices.ContainsFunc(list, unknown):
		f.Add(field.NotSupported(p, list, verbs))
	}
}

// alone wants nothing beside a wildcard.
func alone(f *validation.Findings, p *field.Path, list []string, what string) {
	if len(list) > 1 && slices.Contains(list, all) {
		f.Invalid(p, list, "if '*' is present, must not specify other "+what)
	}
}

func nonResourceRule(f *validation.Findings, p *field.Path, r *flowcontrolv1.NonResourcePolicyRule) {
	ruleVerbs(f, p.Child("verbs"), r.Verbs)
	p = p.Child("nonResourceURLs")
	switch {
	case len(r.NonResourceURLs) == 0:
		f.Required(p, "nonResourceURLs must contain at least one value")
	case slices.Contains(r.NonResourceURLs, all):
		alone(f, p, r.NonResourceURLs, "non-resource URLs")
	default:
		for i, url := range r.NonResourceURLs {
			if wrong := nonResourceURL(url); wrong != "" {
				f.Invalid(p.Index(i), url, wrong)
			}
		}
	}
}

func nonResourceURL(url string) string {
	switch stars := strings.Count(url, all); {
	case url == "":
		return "must not be empty"
	case url == "/":
		return ""
	case !strings.HasPrefix(url, "/"):
		return "must start with slash"
	case strings.Contains(url, " "):
		return "must not contain white-space"
	case strings.Contains(url, "//"):
		return "must not contain double slash"
	case stars > 1 || stars == 1 && !strings.HasSuffix(url, "/*"):
		return "wildcard can only do suffix matching"
	}
	return ""
}

func resourceRule(f *validation.Findings, p *field.Path, r *flowcontrolv1.ResourcePolicyRule) {
	ruleVerbs(f, p.Child("verbs"), r.Verbs)
	if len(r.APIGroups) == 0 {
		f.Required(p.Child("apiGroups"), "resource rules must supply at least one api group")
	}
	alone(f, p.Child("apiGroups"), r.APIGroups, "api groups")
	if len(r.Resources) == 0 {
		f.Required(p.Child("resources"), "resource rules must supply at least one resource")
	}
	alone(f, p.Child("resources"), r.Resources, "resources")
	p = p.Child("namespaces")
	switch {
	case len(r.Namespaces) == 0 && !r.ClusterScope:
		f.Required(p, "resource rules that are not cluster scoped must supply at least one namespace")
	case slices.Contains(r.Namespaces, all):
		alone(f, p, r.Namespaces, "namespaces")
	default:
		for i, name := range r.Namespaces {
			for _, m := range apivalidation.ValidateNamespaceName(name, false) {
				f.Invalid(p.Index(i), name, "each member of this list must be '*' or a DNS-1123 label; "+m)
			}
		}
	}
}

func flowSchemaStatus(s *flowcontrolv1.FlowSchemaStatus) field.ErrorList {
	var types []string
	for _, c := range s.Conditions {
		types = append(types, string(c.Type))
	}
	return conditionTypes(types)
}

// conditionTypes wants each type once.
func conditionTypes(types []string) field.ErrorList {
	var f validation.Findings
	for i, t := range types {
		p := statusPath.Child("conditions").Index(i).Child("type")
		if slices.Contains(types[:i], t) {
			f.Add(field.Duplicate(p, t))
		}
		if t == "" {
			f.Required(p, "must not be empty")
		}
	}
	return f.List()
}
