package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

func validateDaemonSet(d *appsv1.DaemonSet) field.ErrorList {
	var f validation.Findings
	f.Meta(&d.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	daemonSetSpec(&f, d)
	return f.List()
}

func validateDaemonSetUpdate(d, old *appsv1.DaemonSet) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&d.ObjectMeta, &old.ObjectMeta)
	f.Immutable(spec.Child("selector"), d.Spec.Selector, old.Spec.Selector)
	daemonSetSpec(&f, d)
	return f.List()
}

func daemonSetSpec(f *validation.Findings, d *appsv1.DaemonSet) {
	s := &d.Spec
	f.Selector(s.Selector, spec.Child("selector"))
	p := spec.Child("template")
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil {
		matching(f, p, selector, &s.Template)
	}
	if emptySelector(s.Selector) {
		f.Invalid(spec.Child("selector"), s.Selector, "empty selector is invalid for daemonset")
	}
	f.PodTemplate(p, &s.Template)
	f.Endless(p, &s.Template, "DaemonSet")
	f.NotNegative(spec.Child("minReadySeconds"), int64(s.MinReadySeconds))
	if n, err := templateGeneration(d); err != nil {
		f.Invalid(field.NewPath("metadata", "annotations").Key(appsv1.DeprecatedTemplateGeneration),
			d.Annotations[appsv1.DeprecatedTemplateGeneration], err.Error())
	} else {
		f.NotNegative(spec.Child("templateGeneration"), n)
	}
	daemonSetStrategy(f, &s.UpdateStrategy)
	f.OptionalCount(spec.Child("revisionHistoryLimit"), s.RevisionHistoryLimit)
}

func daemonSetStrategy(f *validation.Findings, s *appsv1.DaemonSetUpdateStrategy) {
	p := spec.Child("updateStrategy")
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
	case appsv1.RollingUpdateDaemonSetStrategyType:
		r, p := s.RollingUpdate, p.Child("rollingUpdate")
		if r == nil || r.MaxUnavailable == nil || r.MaxSurge == nil {
			f.Required(p, "")
			return
		}
		f.IntOrPercent(p.Child("maxUnavailable"), *r.MaxUnavailable)
		f.IntOrPercent(p.Child("maxSurge"), *r.MaxSurge)
		f.AtMostAll(p.Child("maxUnavailable"), *r.MaxUnavailable)
		f.AtMostAll(p.Child("maxSurge"), *r.MaxSurge)
		switch less, more := !validation.Zero(*r.MaxUnavailable), !validation.Zero(*r.MaxSurge); {
		case less && more:
			f.Invalid(p.Child("maxSurge"), *r.MaxSurge, "may not be set when maxUnavailable is non-zero")
		case !less && !more:
			f.Required(p.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0")
		}
	default:
		// Upstream shows the strategy in its internal form, which has no names for JSON.
		f.Add(field.NotSupported[appsv1.DaemonSetUpdateStrategyType](p, struct {
			Type          appsv1.DaemonSetUpdateStrategyType
			RollingUpdate *appsv1.RollingUpdateDaemonSet
		}(*s), []appsv1.DaemonSetUpdateStrategyType{
			appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType,
		}))
	}
}

func validateDaemonSetStatus(d, old *appsv1.DaemonSet) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&d.ObjectMeta, &old.ObjectMeta)
	s := &d.Status
	f.Counts(status,
		validation.Count{Name: "currentNumberScheduled", N: s.CurrentNumberScheduled},
		validation.Count{Name: "numberMisscheduled", N: s.NumberMisscheduled},
		validation.Count{Name: "desiredNumberScheduled", N: s.DesiredNumberScheduled},
		validation.Count{Name: "numberReady", N: s.NumberReady})
	f.NotNegative(status.Child("observedGeneration"), s.ObservedGeneration)
	f.Counts(status,
		validation.Count{Name: "updatedNumberScheduled", N: s.UpdatedNumberScheduled},
		validation.Count{Name: "numberAvailable", N: s.NumberAvailable},
		validation.Count{Name: "numberUnavailable", N: s.NumberUnavailable})
	f.OptionalCount(status.Child("collisionCount"), s.CollisionCount)
	f.NotDecremented(status.Child("collisionCount"), s.CollisionCount, old.Status.CollisionCount)
	return f.List()
}
