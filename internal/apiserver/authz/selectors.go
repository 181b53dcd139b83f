package authz

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// attributes turns a review's question into what authorizers are asked.
func attributes(q question) authorizer.AttributesRecord {
	if q.path != nil {
		return authorizer.AttributesRecord{User: q.who, Verb: q.path.Verb, Path: q.path.Path}
	}
	r := q.resource
	out := authorizer.AttributesRecord{
		User: q.who, Verb: r.Verb, ResourceRequest: true,
		Namespace: r.Namespace, APIGroup: r.Group, APIVersion: r.Version,
		Resource: r.Resource, Subresource: r.Subresource, Name: r.Name,
	}
	if out.APIVersion == "" {
		out.APIVersion = "*"
	}
	if r.LabelSelector != nil {
		out.LabelSelectorRequirements, out.LabelSelectorParsingErr = labelRequirements(r.LabelSelector)
	}
	if r.FieldSelector != nil {
		out.FieldSelectorRequirements, out.FieldSelectorParsingErr = fieldRequirements(r.FieldSelector)
	}
	return out
}

func validateSelectors(r *authorizationv1.ResourceAttributes, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	check := func(raw string, count int, path *field.Path) {
		if raw != "" && count > 0 {
			errs = append(errs, field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements"))
		}
		if raw == "" && count == 0 {
			errs = append(errs, field.Required(path.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", path)))
		}
	}
	if s := r.LabelSelector; s != nil {
		check(s.RawSelector, len(s.Requirements), path.Child("labelSelector"))
	}
	if s := r.FieldSelector; s != nil {
		check(s.RawSelector, len(s.Requirements), path.Child("fieldSelector"))
	}
	return errs
}

func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s.RawSelector != "" {
		selector, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, err
		}
		requirements, _ := selector.Requirements()
		return requirements, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: s.Requirements})
	if err != nil {
		return nil, err
	}
	requirements, _ := selector.Requirements()
	return requirements, nil
}

// fieldRequirements keeps what authorizers can use: equality with one value.
// Leaving a requirement out only makes the question broader.
func fieldRequirements(s *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if s.RawSelector != "" {
		selector, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, err
		}
		return selector.Requirements(), nil
	}
	var out fields.Requirements
	for _, r := range s.Requirements {
		if len(r.Values) != 1 {
			continue
		}
		switch r.Operator {
		case metav1.FieldSelectorOpIn:
			out = append(out, fields.Requirement{Field: r.Key, Operator: selection.Equals, Value: r.Values[0]})
		case metav1.FieldSelectorOpNotIn:
			out = append(out, fields.Requirement{Field: r.Key, Operator: selection.NotEquals, Value: r.Values[0]})
		}
	}
	return out, nil
}
