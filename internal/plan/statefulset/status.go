package statefulset

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Status returns the status to publish: what was observed, counted. What the
// plan will do is left to its own events, with upstream's one exception: pods
// deleted for an update no longer count as current, because that number says
// which revision the next pod gets when the set has no rollingUpdate.
func Status(s State, p Plan, set *appsv1.StatefulSet, collisions int32, rules Rules) appsv1.StatefulSetStatus {
	old := &set.Status
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation,
		CurrentRevision:    s.Current,
		UpdateRevision:     s.Update,
		CollisionCount:     &collisions,
		Conditions:         old.Conditions,
	}
	for _, pod := range s.Pods {
		count(&status, s, pod)
	}
	for _, action := range p.Actions {
		if (action.Verb == DeletePod || action.Verb == PatchPod) && (action.Why == Outdated || action.Why == Abandoned) && s.revisionAt(action.Ordinal) == s.Current {
			status.CurrentReplicas--
		}
	}
	if done(status, s, rules) {
		status.CurrentReplicas = status.UpdatedReplicas
		status.CurrentRevision = status.UpdateRevision
	}
	return status
}

func count(status *appsv1.StatefulSetStatus, s State, pod Pod) {
	if pod.Health == Absent {
		return
	}
	status.Replicas++
	if pod.Health >= Ready {
		status.ReadyReplicas++
	}
	if pod.Health == Available {
		status.AvailableReplicas++
	}
	if pod.Terminating {
		return
	}
	if pod.Revision == s.Current {
		status.CurrentReplicas++
	}
	if pod.Revision == s.Update {
		status.UpdatedReplicas++
	}
}

// revisionAt is the revision of the existing pod at an ordinal.
func (s State) revisionAt(ordinal int) string {
	pod := s.at(ordinal)
	return pod.Revision
}

// done reports whether the update is complete.
func done(status appsv1.StatefulSetStatus, s State, rules Rules) bool {
	all := int32(s.Replicas)
	if rules.AvailableBeforeCurrent && status.AvailableReplicas != all {
		return false
	}
	return status.UpdatedReplicas == all && status.ReadyReplicas == all && status.Replicas == all
}

// MemoryChanged reports whether now holds what later decisions rest on and old
// does not: such a status must be stored before anything else is done.
func MemoryChanged(old, now *appsv1.StatefulSetStatus) bool {
	if now.CurrentRevision != old.CurrentRevision || now.UpdateRevision != old.UpdateRevision ||
		!equality.Semantic.DeepEqual(now.CollisionCount, old.CollisionCount) {
		return true
	}
	memory := func(status *appsv1.StatefulSetStatus) []appsv1.StatefulSetCondition {
		var kept []appsv1.StatefulSetCondition
		for _, c := range status.Conditions {
			if c.Type == ConditionBackOff || c.Type == ConditionReadyBefore {
				kept = append(kept, c)
			}
		}
		return kept
	}
	return !equality.Semantic.DeepEqual(memory(old), memory(now))
}

// StatusChanged reports whether a status is worth a write.
func StatusChanged(old, now *appsv1.StatefulSetStatus) bool {
	return now.ObservedGeneration > old.ObservedGeneration ||
		now.Replicas != old.Replicas ||
		now.CurrentReplicas != old.CurrentReplicas ||
		now.ReadyReplicas != old.ReadyReplicas ||
		now.UpdatedReplicas != old.UpdatedReplicas ||
		now.AvailableReplicas != old.AvailableReplicas ||
		now.CurrentRevision != old.CurrentRevision ||
		now.UpdateRevision != old.UpdateRevision ||
		!equality.Semantic.DeepEqual(now.CollisionCount, old.CollisionCount) && (old.CollisionCount != nil || *now.CollisionCount != 0) ||
		!equality.Semantic.DeepEqual(now.Conditions, old.Conditions)
}
