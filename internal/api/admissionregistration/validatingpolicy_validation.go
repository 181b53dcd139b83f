package admissionregistration

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/client-go/util/jsonpath"
)

type fieldErrors = field.ErrorList

const (
	mostAnnotations      = 20
	longestAuditFormula  = 5 * 1024
	neitherIsThere       = "validations or auditAnnotations must contain at least one item"
	emptyThoughSpecified = "must be non-empty if specified"
)

var reasons = []metav1.StatusReason{metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge}

func checkValidatingPolicy(o *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	errs := append(checkMeta(&o.ObjectMeta), checkValidatingSpec(o, stored{}, true)...)
	return append(errs, reserved(o.Name)...)
}

func checkValidatingPolicyUpdate(o, old *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	had := stored{}
	for _, c := range old.Spec.MatchConditions {
		had.add(matchExpression, c.Expression)
	}
	for _, v := range old.Spec.Validations {
		had.add(validationRule, v.Expression)
		had.add(messageExpression, v.MessageExpression)
	}
	for _, a := range old.Spec.AuditAnnotations {
		had.add(auditExpression, a.ValueExpression)
	}
	conditions := !equality.Semantic.DeepEqual(o.Spec.ParamKind, old.Spec.ParamKind) ||
		!equality.Semantic.DeepEqual(o.Spec.MatchConditions, old.Spec.MatchConditions)
	return append(checkMeta(&o.ObjectMeta), checkValidatingSpec(o, had, conditions)...)
}

func checkValidatingSpec(o *admissionregistrationv1.ValidatingAdmissionPolicy, had stored, conditions bool) field.ErrorList {
	spec := &o.Spec
	e := expressions{stored: had, params: spec.ParamKind != nil}
	if len(spec.Variables) > 0 {
		e.compiler = withVariables()
	}
	errs := checkFailurePolicy(spec.FailurePolicy)
	errs = append(errs, checkParamKind(spec.ParamKind, specPath.Child("paramKind"))...)
	errs = append(errs, checkConstraints(spec.MatchConstraints, specPath.Child("matchConstraints"))...)
	if conditions {
		errs = append(errs, checkConditions(spec.MatchConditions, e, specPath.Child("matchConditions"))...)
	}
	errs = append(errs, checkVariables(spec.Variables, e, specPath.Child("variables"))...)
	if len(spec.Validations)+len(spec.AuditAnnotations) == 0 {
		return append(errs, field.Required(specPath.Child("validations"), neitherIsThere), field.Required(specPath.Child("auditAnnotations"), neitherIsThere))
	}
	for i := range spec.Validations {
		errs = append(errs, checkValidation(&spec.Validations[i], e, specPath.Child("validations").Index(i))...)
	}
	return append(errs, checkAnnotations(o.Name, spec.AuditAnnotations, e, specPath.Child("auditAnnotations"))...)
}

func checkFailurePolicy(policy *admissionregistrationv1.FailurePolicyType) field.ErrorList {
	p := specPath.Child("failurePolicy")
	if policy == nil {
		return field.ErrorList{field.Required(p, "")}
	}
	return oneOf(p, policy, failurePolicies)
}

func checkValidation(v *admissionregistrationv1.Validation, e expressions, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(p.Child("expression"), "expression is not specified"))
	} else {
		x := &validating.ValidationCondition{Expression: v.Expression}
		errs = append(errs, e.compile(x, plugincel.OptionalVariableDeclarations{HasAuthorizer: true}, e.stored.mode(validationRule, v.Expression), p.Child("expression"))...)
	}
	if v.MessageExpression != "" {
		at := p.Child("messageExpression")
		if strings.TrimSpace(v.MessageExpression) == "" {
			errs = append(errs, field.Invalid(at, v.MessageExpression, emptyThoughSpecified))
		} else {
			x := &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
			errs = append(errs, e.compile(x, plugincel.OptionalVariableDeclarations{}, e.stored.mode(messageExpression, v.MessageExpression), at)...)
		}
	}
	message := strings.TrimSpace(v.Message)
	switch {
	case v.Message != "" && message == "":
		errs = append(errs, field.Invalid(p.Child("message"), v.Message, emptyThoughSpecified))
	case strings.ContainsAny(message, "\n\r"):
		errs = append(errs, field.Invalid(p.Child("message"), v.Message, "must not contain line breaks"))
	}
	return append(errs, oneOf(p.Child("reason"), v.Reason, reasons)...)
}

func checkAnnotations(policy string, list []admissionregistrationv1.AuditAnnotation, e expressions, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > mostAnnotations {
		errs = append(errs, field.Invalid(p, list, fmt.Sprintf("must not have more than %d auditAnnotations", mostAnnotations)))
	}
	for i, a := range list {
		errs = append(errs, checkAnnotation(policy, a, e, p.Index(i))...)
		same := func(b admissionregistrationv1.AuditAnnotation) bool { return b.Key == a.Key }
		if slices.ContainsFunc(list[:i], same) {
			errs = append(errs, field.Duplicate(p.Index(i).Child("key"), a.Key))
		}
	}
	return errs
}

func checkAnnotation(policy string, a admissionregistrationv1.AuditAnnotation, e expressions, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	if policy == "" {
		errs = append(errs, field.Invalid(p.Child("key"), a.Key, "requires metadata.name be non-empty"))
	} else {
		errs = qualified(policy+"/"+a.Key, p.Child("key"))
	}
	at, text := p.Child("valueExpression"), strings.TrimSpace(a.ValueExpression)
	switch {
	case text == "":
		return append(errs, field.Required(at, "valueExpression is not specified"))
	case len(text) > longestAuditFormula:
		return append(errs, field.Required(at, fmt.Sprintf("must not exceed %d bytes in length", longestAuditFormula)))
	}
	x := &validating.AuditAnnotationCondition{ValueExpression: text}
	return append(errs, e.compile(x, plugincel.OptionalVariableDeclarations{HasAuthorizer: true}, e.stored.mode(auditExpression, a.ValueExpression), at)...)
}

func checkValidatingPolicyStatus(o, _ *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	var errs field.ErrorList
	p := field.NewPath("status")
	if t := o.Status.TypeChecking; t != nil {
		for i, w := range t.ExpressionWarnings {
			at := p.Child("typeChecking", "expressionWarnings").Index(i)
			if w.Warning == "" {
				errs = append(errs, field.Required(at.Child("warning"), ""))
			}
			errs = append(errs, checkFieldRef(w.FieldRef, at.Child("fieldRef"))...)
		}
	}
	return append(errs, metavalidation.ValidateConditions(o.Status.Conditions, p.Child("conditions"))...)
}

func checkFieldRef(ref string, p *field.Path) field.ErrorList {
	ref = strings.TrimSpace(ref)
	if ref == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
		return field.ErrorList{field.Invalid(p, ref, fmt.Sprintf("invalid JSONPath: %v", err))}
	}
	return nil
}

// actions are in the order of upstream's message.
var actions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit, admissionregistrationv1.Deny, admissionregistrationv1.Warn}

func checkNewValidatingBinding(o *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	return append(checkValidatingBinding(o), reserved(o.Name)...)
}

func checkValidatingBinding(o *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	errs := checkMeta(&o.ObjectMeta)
	errs = append(errs, checkPolicyName(o.Spec.PolicyName, specPath.Child("policyName"))...)
	errs = append(errs, checkParamRef(o.Spec.ParamRef, specPath.Child("paramRef"))...)
	errs = append(errs, checkMatchResources(o.Spec.MatchResources, specPath.Child("matchResources"))...)
	list, p := o.Spec.ValidationActions, specPath.Child("validationActions")
	for i, a := range list {
		errs = append(errs, oneOf(p.Index(i), &a, actions)...)
		if slices.Contains(list[:i], a) {
			errs = append(errs, field.Duplicate(p.Index(i), a))
		}
	}
	if slices.Contains(list, admissionregistrationv1.Deny) && slices.Contains(list, admissionregistrationv1.Warn) {
		errs = append(errs, field.Invalid(p, list, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	if len(list) == 0 {
		errs = append(errs, field.Required(p, "at least one validation action is required"))
	}
	return errs
}
