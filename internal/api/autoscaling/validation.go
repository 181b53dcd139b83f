package autoscaling

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

// The longest times that rules may speak of, in seconds.
const (
	longestPeriod = 1800
	longestWindow = 3600
)

// leniency says which API versions a reference may name.
type leniency struct {
	any  bool // whatever it be
	core bool // one without a group
}

func validate(a *autoscaler) field.ErrorList {
	var f validation.Findings
	f.Meta(&a.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	spec(&f, &a.Spec, leniency{core: a.Spec.ScaleTargetRef.Kind == "ReplicationController"}, leniency{core: true})
	return f.List()
}

// validateUpdate does not ask again for the versions that were accepted once.
func validateUpdate(a, old *autoscaler) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&a.ObjectMeta, &old.ObjectMeta)
	is, was := &a.Spec.ScaleTargetRef, &old.Spec.ScaleTargetRef
	unchanged := is.Kind == was.Kind && is.APIVersion == was.APIVersion
	objects := leniency{core: true}
	for _, m := range old.Spec.Metrics {
		if m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil && apiVersion(m.Object.DescribedObject.APIVersion, objects) != "" {
			objects.any = true
			break
		}
	}
	spec(&f, &a.Spec, leniency{any: unchanged, core: is.Kind == "ReplicationController"}, objects)
	return f.List()
}

func validateStatus(a, old *autoscaler) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&a.ObjectMeta, &old.ObjectMeta)
	f.Counts(field.NewPath("status"),
		validation.Count{Name: "currentReplicas", N: a.Status.CurrentReplicas},
		validation.Count{Name: "desiredReplicas", N: a.Status.DesiredReplicas})
	return f.List()
}

func spec(f *validation.Findings, s *autoscalingv2.HorizontalPodAutoscalerSpec, scaled, objects leniency) {
	p := field.NewPath("spec")
	if n := s.MinReplicas; n != nil {
		f.AddDeclared(atLeast(p.Child("minReplicas"), *n, 0)...)
		if s.MaxReplicas < *n {
			f.Invalid(p.Child("maxReplicas"), s.MaxReplicas, "must be greater than or equal to `minReplicas`")
		}
	}
	if s.MaxReplicas == 0 {
		f.AddDeclared(field.Required(p.Child("maxReplicas"), ""))
	} else {
		f.AddDeclared(atLeast(p.Child("maxReplicas"), s.MaxReplicas, 1)...)
	}
	reference(f, p.Child("scaleTargetRef"), &s.ScaleTargetRef, scaled)
	metrics(f, p.Child("metrics"), s, objects)
	if b := s.Behavior; b != nil {
		rules(f, p.Child("behavior", "scaleUp"), b.ScaleUp)
		rules(f, p.Child("behavior", "scaleDown"), b.ScaleDown)
	}
}

func atLeast(p *field.Path, n, least int32) field.ErrorList {
	if n >= least {
		return nil
	}
	return field.ErrorList{field.Invalid(p, n, fmt.Sprintf("must be greater than or equal to %d", least)).WithOrigin("minimum")}
}

func reference(f *validation.Findings, p *field.Path, r *autoscalingv2.CrossVersionObjectReference, allowed leniency) {
	if f.NotEmpty(p.Child("kind"), r.Kind) {
		f.Messages(p.Child("kind"), r.Kind, path.IsValidPathSegmentName(r.Kind))
	}
	if f.NotEmpty(p.Child("name"), r.Name) {
		f.Messages(p.Child("name"), r.Name, path.IsValidPathSegmentName(r.Name))
	}
	if m := apiVersion(r.APIVersion, allowed); m != "" {
		f.Invalid(p.Child("apiVersion"), r.APIVersion, m)
	}
}

// apiVersion says what is wrong with the version of a reference.
func apiVersion(version string, allowed leniency) string {
	if allowed.any {
		return ""
	}
	gv, err := schema.ParseGroupVersion(version)
	switch {
	case err != nil:
		return err.Error()
	case gv.Group == "" && !allowed.core:
		return "apiVersion must specify API group"
	}
	return ""
}

func rules(f *validation.Findings, p *field.Path, r *autoscalingv2.HPAScalingRules) {
	if r == nil {
		return
	}
	if n := r.StabilizationWindowSeconds; n != nil {
		if *n < 0 {
			f.Invalid(p.Child("stabilizationWindowSeconds"), *n, "must be greater than or equal to zero")
		}
		if *n > longestWindow {
			f.Invalid(p.Child("stabilizationWindowSeconds"), *n, fmt.Sprintf("must be less than or equal to %d", longestWindow))
		}
	}
	if s := r.SelectPolicy; s != nil {
		validation.Among(f, p.Child("selectPolicy"), *s,
			autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)
	}
	if len(r.Policies) == 0 {
		f.Required(p.Child("policies"), "must specify at least one Policy")
	}
	for i := range r.Policies {
		scalingPolicy(f, p.Child("policies").Index(i), &r.Policies[i])
	}
	if t := r.Tolerance; t != nil && t.Sign() < 0 {
		f.Invalid(p.Child("tolerance"), t.String(), apivalidation.IsNegativeErrorMsg)
	}
}

func scalingPolicy(f *validation.Findings, p *field.Path, s *autoscalingv2.HPAScalingPolicy) {
	validation.Among(f, p.Child("type"), s.Type, autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy)
	if s.Value <= 0 {
		f.Invalid(p.Child("value"), s.Value, "must be greater than zero")
	}
	if s.PeriodSeconds <= 0 {
		f.Invalid(p.Child("periodSeconds"), s.PeriodSeconds, "must be greater than zero")
	}
	if s.PeriodSeconds > longestPeriod {
		f.Invalid(p.Child("periodSeconds"), s.PeriodSeconds, fmt.Sprintf("must be less than or equal to %d", longestPeriod))
	}
}
