package replicaset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podready"
)

// Outcome is how carrying out a plan ended.
type Outcome struct {
	// Failure is the error of a write; "" when none failed.
	Failure string
	// Waiting: nothing was tried, an earlier failure is waited out.
	Waiting bool
}

// Reasons of the condition ReplicaFailure.
const (
	FailedCreate = "FailedCreate"
	FailedDelete = "FailedDelete"
)

// Status counts what was observed before the plan was carried out, and says how
// that ended.
func Status(f Facts, p Plan, o Outcome) appsv1.ReplicaSetStatus {
	status := appsv1.ReplicaSetStatus{
		ObservedGeneration:  f.Set.Generation,
		TerminatingReplicas: ptr.To(int32(0)),
		Conditions:          f.Set.Status.Conditions,
	}
	whole := labels.SelectorFromValidatedSet(f.Set.Spec.Template.Labels)
	for _, pod := range f.Pods {
		if !podready.Active(pod) {
			if !podready.Ended(pod) {
				*status.TerminatingReplicas++
			}
			continue
		}
		status.Replicas++
		if whole.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if podready.Ready(pod) {
			status.ReadyReplicas++
		}
		if available, _ := podready.Available(pod, f.Set.Spec.MinReadySeconds, f.Now); available {
			status.AvailableReplicas++
		}
	}
	if !o.Waiting {
		status.Conditions = f.conditions(p, o)
	}
	return status
}

// conditions says that the replicas could not be made or deleted. What it says
// of the first failure stays until none is left.
func (f Facts) conditions(p Plan, o Outcome) []appsv1.ReplicaSetCondition {
	old := f.Set.Status.Conditions
	failing := func(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure }
	switch {
	case o.Failure == "":
		return slices.DeleteFunc(slices.Clone(old), failing)
	case slices.ContainsFunc(old, failing):
		return old
	}
	reason := FailedDelete
	if p.Create > 0 {
		reason = FailedCreate
	}
	return append(slices.Clone(old), appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(f.Now), Reason: reason, Message: o.Failure,
	})
}

// StatusChanged reports whether a status is worth a write.
func StatusChanged(old, now *appsv1.ReplicaSetStatus) bool {
	return !equality.Semantic.DeepEqual(old, now)
}
