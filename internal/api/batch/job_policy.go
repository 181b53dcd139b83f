package batch

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

const (
	mostRules           = 20
	mostExitCodes       = 255
	mostConditions      = 20
	longestIndexesOfOne = 64 * 1024
)

// oneOf requires a value and one of those allowed, and lists them if there is none.
func oneOf[T ~string](f *validation.Findings, p *field.Path, value T, allowed ...T) {
	if value == "" {
		f.Required(p, fmt.Sprintf("valid values: %q", allowed))
		return
	}
	validation.Among(f, p, value, allowed...)
}

func podFailurePolicy(f *validation.Findings, p *field.Path, s *batchv1.JobSpec) {
	rules := s.PodFailurePolicy.Rules
	if len(rules) > mostRules {
		f.Add(field.TooMany(p.Child("rules"), len(rules), mostRules))
	}
	for i := range rules {
		podFailureRule(f, p.Child("rules").Index(i), s, &rules[i])
	}
}

func podFailureRule(f *validation.Findings, p *field.Path, s *batchv1.JobSpec, r *batchv1.PodFailurePolicyRule) {
	if r.Action == batchv1.PodFailurePolicyActionFailIndex {
		if s.BackoffLimitPerIndex == nil {
			f.Invalid(p.Child("action"), r.Action, "requires the backoffLimitPerIndex to be set")
		}
	} else {
		oneOf(f, p.Child("action"), r.Action, batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)
	}
	if r.OnExitCodes != nil {
		exitCodes(f, p.Child("onExitCodes"), &s.Template.Spec, r.OnExitCodes)
	}
	podConditions(f, p.Child("onPodConditions"), r.OnPodConditions)
	switch codes, conditions := r.OnExitCodes != nil, len(r.OnPodConditions) > 0; {
	case codes && conditions:
		f.Invalid(p, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported")
	case !codes && !conditions:
		f.Invalid(p, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required")
	}
}

func podConditions(f *validation.Findings, p *field.Path, list []batchv1.PodFailurePolicyOnPodConditionsPattern) {
	if len(list) > mostConditions {
		f.Add(field.TooMany(p, len(list), mostConditions))
	}
	for i := range list {
		f.QualifiedName(p.Index(i).Child("type"), string(list[i].Type))
		oneOf(f, p.Index(i).Child("status"), list[i].Status, corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)
	}
}

func exitCodes(f *validation.Findings, p *field.Path, pod *corev1.PodSpec, r *batchv1.PodFailurePolicyOnExitCodesRequirement) {
	oneOf(f, p.Child("operator"), r.Operator, batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if name := r.ContainerName; name != nil {
		named := func(c corev1.Container) bool { return c.Name == *name }
		if !slices.ContainsFunc(pod.Containers, named) && !slices.ContainsFunc(pod.InitContainers, named) {
			f.Invalid(p.Child("containerName"), *name, "must be one of the container or initContainer names in the pod template")
		}
	}
	p = p.Child("values")
	if len(r.Values) == 0 {
		f.Invalid(p, r.Values, "at least one value is required")
	} else if len(r.Values) > mostExitCodes {
		f.Add(field.TooMany(p, len(r.Values), mostExitCodes))
	}
	for i, code := range r.Values {
		if r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && code == 0 {
			f.Invalid(p.Index(i), code, "must not be 0 for the In operator")
		}
		if slices.Contains(r.Values[:i], code) {
			f.Add(field.Duplicate(p.Index(i), code))
		}
	}
	if !slices.IsSorted(r.Values) {
		f.Invalid(p, r.Values, "must be ordered")
	}
}

func successPolicy(f *validation.Findings, p *field.Path, s *batchv1.JobSpec) {
	p = p.Child("rules")
	rules := s.SuccessPolicy.Rules
	if len(rules) == 0 {
		f.Required(p, "at least one rules must be specified when the successPolicy is specified")
	}
	if len(rules) > mostRules {
		f.Add(field.TooMany(p, len(rules), mostRules))
	}
	for i := range rules {
		successRule(f, p.Index(i), s, &rules[i])
	}
}

func successRule(f *validation.Findings, p *field.Path, s *batchv1.JobSpec, r *batchv1.SuccessPolicyRule) {
	if r.SucceededCount == nil && r.SucceededIndexes == nil {
		f.Required(p, "at least one of succeededCount or succeededIndexes must be specified")
	}
	completions := int32(0) // that they are missing has been said
	if s.Completions != nil {
		completions = *s.Completions
	}
	total := int32(0)
	if r.SucceededIndexes != nil {
		p := p.Child("succeededIndexes")
		if len(*r.SucceededIndexes) > longestIndexesOfOne {
			f.Add(field.TooLong(p, "", longestIndexesOfOne))
		}
		var err error
		if total, err = countIndexes(*r.SucceededIndexes, completions); err != nil {
			f.Invalid(p, *r.SucceededIndexes, "error parsing succeededIndexes: "+err.Error())
		}
	}
	if n := r.SucceededCount; n != nil {
		p := p.Child("succeededCount")
		f.NotNegative(p, int64(*n))
		if *n > completions {
			f.Invalid(p, *n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions))
		}
		if r.SucceededIndexes != nil && *n > total {
			f.Invalid(p, *n, fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", total))
		}
	}
}
