package sim

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/deployment"
)

var deploymentGVK = appsv1.SchemeGroupVersion.WithKind("Deployment")

// guardRollout checks a write of the Deployment loop at the moment it is made: by
// what its cache shows, an old set shrinks only as far as enough pods serve, and
// sets grow only within the surge. What a change of the wanted number does is
// not a rollout.
func (s *Sim) guardRollout(verb string, obj client.Object) error {
	next, ok := obj.(*appsv1.ReplicaSet)
	if !ok || verb != "update" && verb != "create" {
		return nil
	}
	d := s.deploymentInCache(metav1.GetControllerOfNoCopy(next))
	if d == nil {
		return fmt.Errorf("set %s is written for no Deployment", next.Name)
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return s.guardRecreate(d, next)
	}
	if d.Spec.Paused {
		return nil // what is scaled then is no rollout either
	}
	replicas := int(*d.Spec.Replicas)
	surge, _ := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxSurge, replicas, true)
	unavailable, _ := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxUnavailable, replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	before, size, serving := 0, 0, 0
	for _, rs := range s.setsInCache(d) {
		if rs.Annotations["deployment.kubernetes.io/desired-replicas"] != fmt.Sprint(replicas) {
			return nil // the wanted number has changed since
		}
		n := int(*rs.Spec.Replicas)
		if rs.Name == next.Name {
			before, n = n, int(*next.Spec.Replicas)
		}
		size, serving = size+n, serving+min(n, int(rs.Status.AvailableReplicas))
	}
	if verb == "create" {
		size += int(*next.Spec.Replicas)
	}
	fresh := plan.SameTemplate(&next.Spec.Template, &d.Spec.Template)
	switch after := int(*next.Spec.Replicas); {
	case after > before && size > replicas+surge:
		return fmt.Errorf("set %s grows from %d to %d: %d in all, allowed are %d", next.Name, before, after, size, replicas+surge)
	case after < before && !fresh && serving < replicas-unavailable && s.took(next, before) > 0:
		return fmt.Errorf("set %s shrinks from %d to %d: %d pods serve then, %d must", next.Name, before, after, serving, replicas-unavailable)
	}
	return nil
}

// took is how many pods that serve a write of a set's size takes away.
func (s *Sim) took(next *appsv1.ReplicaSet, before int) int {
	available := int(next.Status.AvailableReplicas)
	return min(before, available) - min(int(*next.Spec.Replicas), available)
}

// guardRecreate: no set of the present template has pods before those of others
// have ended.
func (s *Sim) guardRecreate(d *appsv1.Deployment, next *appsv1.ReplicaSet) error {
	if !plan.SameTemplate(&next.Spec.Template, &d.Spec.Template) || *next.Spec.Replicas == 0 {
		return nil
	}
	sets := s.setsInCache(d)
	if slices.ContainsFunc(sets, func(rs *appsv1.ReplicaSet) bool { return rs.Name == next.Name && *rs.Spec.Replicas > 0 }) {
		return nil // it has pods already, of another strategy's time
	}
	for _, rs := range sets {
		if plan.SameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			continue
		}
		for _, pod := range s.pods() {
			if metav1.IsControlledBy(pod, rs) && !ended(pod) {
				return fmt.Errorf("set %s gets pods while %s of set %s has not ended", next.Name, pod.Name, rs.Name)
			}
		}
	}
	return nil
}

func (s *Sim) deploymentInCache(ref *metav1.OwnerReference) *appsv1.Deployment {
	for _, obj := range s.views[deploymentGVK].objects {
		if ref != nil && obj.GetUID() == ref.UID {
			return obj.(*appsv1.Deployment)
		}
	}
	return nil
}

func (s *Sim) setsInCache(d *appsv1.Deployment) []*appsv1.ReplicaSet {
	var sets []*appsv1.ReplicaSet
	for _, obj := range sorted(s.views[replicaSetGVK].objects) {
		if metav1.IsControlledBy(obj, d) {
			sets = append(sets, obj.(*appsv1.ReplicaSet))
		}
	}
	return sets
}

// convergedDeployment reports every way in which a Deployment is not what its
// spec asks for.
func (s *Sim) convergedDeployment(d *appsv1.Deployment) error {
	want, updated, old := int(*d.Spec.Replicas), 0, 0
	for _, obj := range sorted(s.store.kind(replicaSetGVK).objects) {
		rs := obj.(*appsv1.ReplicaSet)
		if !metav1.IsControlledBy(rs, d) {
			continue
		}
		if plan.SameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			updated += len(active(s.pods(), rs.UID))
			if rs.Annotations[plan.RevisionAnnotation] != d.Annotations[plan.RevisionAnnotation] || rs.Spec.MinReadySeconds != d.Spec.MinReadySeconds {
				return fmt.Errorf("the Deployment %s: set %s has annotations %v, the Deployment %v", d.Name, rs.Name, rs.Annotations, d.Annotations)
			}
			continue
		}
		if old++; *rs.Spec.Replicas > 0 {
			return fmt.Errorf("the Deployment %s: old set %s has size %d", d.Name, rs.Name, *rs.Spec.Replicas)
		}
	}
	st := d.Status
	if d.DeletionTimestamp != nil || updated != want || old > int(*d.Spec.RevisionHistoryLimit) {
		return fmt.Errorf("the Deployment %s wants %d pods, has %d of its template, and %d old sets", d.Name, want, updated, old)
	}
	if int(st.Replicas) != want || int(st.UpdatedReplicas) != want || int(st.AvailableReplicas) != want || st.UnavailableReplicas != 0 || st.ObservedGeneration != d.Generation {
		return fmt.Errorf("the Deployment %s wants %d pods of generation %d, and its status says %+v", d.Name, want, d.Generation, st)
	}
	for _, c := range st.Conditions {
		if c.Status != corev1.ConditionTrue || c.Type == appsv1.DeploymentReplicaFailure {
			return fmt.Errorf("the Deployment %s says %s is %s: %s", d.Name, c.Type, c.Status, c.Message)
		}
	}
	return nil
}
