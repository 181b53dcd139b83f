package policy

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func podDisruptionBudgetKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
		Resource:      "poddisruptionbudgets",
		Singular:      "poddisruptionbudget",
		ShortNames:    []string{"pdb"},
		Namespaced:    true,
		HasStatus:     true,
		HasGeneration: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Min Available", "string", "The minimum number of pods that must be available."),
			columns.Column("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
			columns.Column("Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."),
			columns.Age(),
		},
		New:     func() runtime.Object { return &policyv1.PodDisruptionBudget{} },
		NewList: func() runtime.Object { return &policyv1.PodDisruptionBudgetList{} },
	}, kind.Rules[*policyv1.PodDisruptionBudget]{
		Validate:             kind.Check(validate),
		ValidateUpdate:       kind.CheckUpdate(validateUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateStatus),
		CopySpec:             func(b, old *policyv1.PodDisruptionBudget) { b.Spec = old.Spec },
		CopyStatus:           func(b, old *policyv1.PodDisruptionBudget) { b.Status = old.Status },
		Row: func(b *policyv1.PodDisruptionBudget) []any {
			return []any{
				b.Name, shown(b.Spec.MinAvailable), shown(b.Spec.MaxUnavailable), int64(b.Status.DisruptionsAllowed),
				columns.Since(b.CreationTimestamp),
			}
		},
	})
}

func shown(v *intstr.IntOrString) string {
	if v == nil {
		return "N/A"
	}
	return v.String()
}

// Upstream never looks at the metadata of a budget by itself, so neither is done here.
func validate(b *policyv1.PodDisruptionBudget) field.ErrorList {
	return check(&b.Spec, metavalidation.LabelSelectorValidationOptions{})
}

// validateUpdate lets a budget keep label values that were accepted once.
func validateUpdate(b, old *policyv1.PodDisruptionBudget) field.ErrorList {
	strict := metavalidation.LabelSelectorValidationOptions{}
	lenient := old.Spec.Selector != nil && len(metavalidation.ValidateLabelSelector(old.Spec.Selector, strict, nil)) > 0
	return check(&b.Spec, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lenient})
}

func check(s *policyv1.PodDisruptionBudgetSpec, selector metavalidation.LabelSelectorValidationOptions) field.ErrorList {
	var f validation.Findings
	spec := field.NewPath("spec")
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		// Upstream shows the spec in its internal form, which has no names for JSON.
		f.Invalid(spec, struct {
			MinAvailable               *intstr.IntOrString
			Selector                   *metav1.LabelSelector
			MaxUnavailable             *intstr.IntOrString
			UnhealthyPodEvictionPolicy *policyv1.UnhealthyPodEvictionPolicyType
		}(*s), "minAvailable and maxUnavailable cannot be both set")
	}
	if s.MinAvailable != nil {
		f.IntOrPercent(spec.Child("minAvailable"), *s.MinAvailable)
		f.AtMostAll(spec.Child("minAvailable"), *s.MinAvailable)
	}
	if s.MaxUnavailable != nil {
		f.IntOrPercent(spec.Child("maxUnavailable"), *s.MaxUnavailable)
		f.AtMostAll(spec.Child("maxUnavailable"), *s.MaxUnavailable)
	}
	f.Add(metavalidation.ValidateLabelSelector(s.Selector, selector, spec.Child("selector"))...)
	if p := s.UnhealthyPodEvictionPolicy; p != nil {
		validation.Among(&f, spec.Child("unhealthyPodEvictionPolicy"), *p, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)
	}
	return f.List()
}

func validateStatus(b, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	var f validation.Findings
	s, status := &b.Status, field.NewPath("status")
	f.Add(metavalidation.ValidateConditions(s.Conditions, status.Child("conditions"))...)
	f.Counts(status,
		validation.Count{Name: "disruptionsAllowed", N: s.DisruptionsAllowed},
		validation.Count{Name: "currentHealthy", N: s.CurrentHealthy},
		validation.Count{Name: "desiredHealthy", N: s.DesiredHealthy},
		validation.Count{Name: "expectedPods", N: s.ExpectedPods})
	return f.List()
}
