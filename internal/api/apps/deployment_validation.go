package apps

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

func validateDeployment(d *appsv1.Deployment) field.ErrorList {
	var f validation.Findings
	f.Meta(&d.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	deploymentSpec(&f, d)
	return f.List()
}

func validateDeploymentUpdate(d, old *appsv1.Deployment) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&d.ObjectMeta, &old.ObjectMeta)
	deploymentSpec(&f, d)
	f.Immutable(spec.Child("selector"), d.Spec.Selector, old.Spec.Selector)
	return f.List()
}

func deploymentSpec(f *validation.Findings, d *appsv1.Deployment) {
	s := &d.Spec
	f.OptionalCount(spec.Child("replicas"), s.Replicas)
	replicated(f, s.Selector, &s.Template)
	deploymentStrategy(f, &s.Strategy)
	f.NotNegative(spec.Child("minReadySeconds"), int64(s.MinReadySeconds))
	f.OptionalCount(spec.Child("revisionHistoryLimit"), s.RevisionHistoryLimit)
	rollback(f, d)
	if n := s.ProgressDeadlineSeconds; n != nil {
		p := spec.Child("progressDeadlineSeconds")
		f.NotNegative(p, int64(*n))
		if *n <= s.MinReadySeconds {
			f.Invalid(p, *n, "must be greater than minReadySeconds")
		}
	}
}

// rollback checks the annotation that stands for a field of older versions.
func rollback(f *validation.Findings, d *appsv1.Deployment) {
	text, ok := d.Annotations[appsv1.DeprecatedRollbackTo]
	if !ok {
		return
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f.Invalid(field.NewPath("metadata", "annotations").Key(appsv1.DeprecatedRollbackTo), text, err.Error())
		return
	}
	f.NotNegative(spec.Child("rollback", "version"), n)
}

func deploymentStrategy(f *validation.Findings, s *appsv1.DeploymentStrategy) {
	p := spec.Child("strategy")
	rolling := p.Child("rollingUpdate")
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			f.Forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'")
		}
	case appsv1.RollingUpdateDeploymentStrategyType:
		r := s.RollingUpdate
		if r == nil || r.MaxUnavailable == nil || r.MaxSurge == nil {
			f.Required(rolling, "this should be defaulted and never be nil")
			return
		}
		f.IntOrPercent(rolling.Child("maxUnavailable"), *r.MaxUnavailable)
		f.IntOrPercent(rolling.Child("maxSurge"), *r.MaxSurge)
		if validation.Zero(*r.MaxUnavailable) && validation.Zero(*r.MaxSurge) {
			f.Invalid(rolling.Child("maxUnavailable"), *r.MaxUnavailable, "may not be 0 when `maxSurge` is 0")
		}
		f.AtMostAll(rolling.Child("maxUnavailable"), *r.MaxUnavailable)
	default:
		// Upstream shows the strategy in its internal form, which has no names for JSON.
		f.Add(field.NotSupported[appsv1.DeploymentStrategyType](p, struct {
			Type          appsv1.DeploymentStrategyType
			RollingUpdate *appsv1.RollingUpdateDeployment
		}(*s), []appsv1.DeploymentStrategyType{
			appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType,
		}))
	}
}

func validateDeploymentStatus(d, old *appsv1.Deployment) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&d.ObjectMeta, &old.ObjectMeta)
	s := &d.Status
	f.NotNegative(status.Child("observedGeneration"), s.ObservedGeneration)
	updated := validation.Count{Name: "updatedReplicas", N: s.UpdatedReplicas}
	ready := validation.Count{Name: "readyReplicas", N: s.ReadyReplicas}
	available := validation.Count{Name: "availableReplicas", N: s.AvailableReplicas}
	f.Counts(status, validation.Count{Name: "replicas", N: s.Replicas}, updated, ready, available,
		validation.Count{Name: "unavailableReplicas", N: s.UnavailableReplicas})
	f.OptionalCount(status.Child("terminatingReplicas"), s.TerminatingReplicas)
	f.OptionalCount(status.Child("collisionCount"), s.CollisionCount)
	f.AtMostReplicas(status, s.Replicas, updated, ready, available)
	if s.AvailableReplicas > s.ReadyReplicas {
		f.Invalid(status.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas")
	}
	f.NotDecremented(status.Child("collisionCount"), s.CollisionCount, old.Status.CollisionCount)
	return f.List()
}
