package admissionregistration

import (
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
)

var patchTypes = []admissionregistrationv1.PatchType{admissionregistrationv1.PatchTypeApplyConfiguration, admissionregistrationv1.PatchTypeJSONPatch}

func checkMutatingPolicy(o *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	errs := append(checkMeta(&o.ObjectMeta), checkMutatingSpec(&o.Spec, stored{}, true)...)
	return append(errs, reserved(o.Name)...)
}

func checkMutatingPolicyUpdate(o, old *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	had := stored{}
	for _, c := range old.Spec.MatchConditions {
		had.add(matchExpression, c.Expression)
	}
	for _, m := range old.Spec.Mutations {
		if m.ApplyConfiguration != nil {
			had.add(applyExpression, m.ApplyConfiguration.Expression)
		}
	}
	conditions := !equality.Semantic.DeepEqual(o.Spec.ParamKind, old.Spec.ParamKind) ||
		!equality.Semantic.DeepEqual(o.Spec.MatchConditions, old.Spec.MatchConditions)
	return append(checkMeta(&o.ObjectMeta), checkMutatingSpec(&o.Spec, had, conditions)...)
}

func checkMutatingSpec(spec *admissionregistrationv1.MutatingAdmissionPolicySpec, had stored, conditions bool) field.ErrorList {
	e := expressions{stored: had, params: spec.ParamKind != nil, compiler: withVariables()}
	errs := checkFailurePolicy(spec.FailurePolicy)
	errs = append(errs, checkParamKind(spec.ParamKind, specPath.Child("paramKind"))...)
	errs = append(errs, checkConstraints(spec.MatchConstraints, specPath.Child("matchConstraints"))...)
	errs = append(errs, checkMutable(spec.MatchConstraints, specPath.Child("matchConstraints"))...)
	if conditions {
		errs = append(errs, checkConditions(spec.MatchConditions, e, specPath.Child("matchConditions"))...)
	}
	errs = append(errs, checkVariables(spec.Variables, e, specPath.Child("variables"))...)
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(specPath.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		errs = append(errs, checkMutation(&spec.Mutations[i], e, specPath.Child("mutations").Index(i))...)
	}
	again := specPath.Child("reinvocationPolicy")
	if spec.ReinvocationPolicy == "" {
		return append(errs, field.Required(again, ""))
	}
	return append(errs, oneOf(again, &spec.ReinvocationPolicy, reinvocationPolicies)...)
}

func checkMutation(m *admissionregistrationv1.Mutation, e expressions, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	apply, json := p.Child("applyConfiguration"), p.Child("jsonPatch")
	switch m.PatchType {
	case "":
		errs = append(errs, field.Required(p.Child("patchType"), ""))
	case admissionregistrationv1.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(json, "must be specified when patchType is JSONPatch"))
		} else {
			x := &patch.JSONPatchCondition{Expression: strings.TrimSpace(m.JSONPatch.Expression)}
			errs = append(errs, checkPatch(x, m.JSONPatch.Expression, e, json.Child("expression"))...)
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	case admissionregistrationv1.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			x := &patch.ApplyConfigurationCondition{Expression: strings.TrimSpace(m.ApplyConfiguration.Expression)}
			errs = append(errs, checkPatch(x, m.ApplyConfiguration.Expression, e, apply.Child("expression"))...)
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Invalid(json, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
	default:
		errs = append(errs, field.NotSupported(p.Child("patchType"), m.PatchType, patchTypes))
	}
	return errs
}

func checkPatch(x plugincel.ExpressionAccessor, original string, e expressions, p *field.Path) field.ErrorList {
	if x.GetExpression() == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	with := plugincel.OptionalVariableDeclarations{HasAuthorizer: true, HasPatchTypes: true}
	return e.compile(x, with, e.stored.mode(applyExpression, original), p)
}

func checkNewMutatingBinding(o *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return append(checkMutatingBinding(o), reserved(o.Name)...)
}

func checkMutatingBinding(o *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	errs := checkMeta(&o.ObjectMeta)
	errs = append(errs, checkPolicyName(o.Spec.PolicyName, specPath.Child("policyName"))...)
	errs = append(errs, checkParamRef(o.Spec.ParamRef, specPath.Child("paramRef"))...)
	errs = append(errs, checkMatchResources(o.Spec.MatchResources, specPath.Child("matchResources"))...)
	return append(errs, checkMutable(o.Spec.MatchResources, specPath.Child("matchResources"))...)
}
