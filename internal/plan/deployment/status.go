package deployment

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Outcome is how carrying out a plan ended.
type Outcome struct {
	// Created names the set that was made; Failed the one that could not be, Error
	// says why. Collided: its name stands for another template.
	Created, Failed, Error string
	Collided               bool
}

// Status is the status to publish after a step, with facts as they are then, and
// how long until time alone changes it (0: it does not).
func Status(f Facts, p Plan, o Outcome) (appsv1.DeploymentStatus, time.Duration) {
	d := f.Deployment
	status := f.counts()
	c := conditions{now: f.Now, all: d.Status.Conditions}
	status.CollisionCount = d.Status.CollisionCount
	if o.Collided {
		status.CollisionCount = ptr.To(ptr.Deref(d.Status.CollisionCount, 0) + 1)
	}
	if d.DeletionTimestamp == nil && hasDeadline(d) {
		f.notePause(&c)
		f.noteSet(&c, o)
	}
	f.noteAvailable(&c, &status)
	if p.Rollout {
		f.noteProgress(&c, &status)
		f.noteFailure(&c)
	}
	status.Conditions = c.all
	return status, f.deadline(p, &status)
}

// counts adds up what the sets report.
func (f Facts) counts() appsv1.DeploymentStatus {
	status := appsv1.DeploymentStatus{ObservedGeneration: f.Deployment.Generation, TerminatingReplicas: ptr.To(int32(0))}
	latest, wanted := f.newSet(), int32(0)
	for _, rs := range f.Sets {
		wanted += ptr.Deref(rs.Spec.Replicas, 1)
		status.Replicas += rs.Status.Replicas
		status.ReadyReplicas += rs.Status.ReadyReplicas
		status.AvailableReplicas += rs.Status.AvailableReplicas
		switch {
		case rs.Status.TerminatingReplicas != nil && status.TerminatingReplicas != nil:
			*status.TerminatingReplicas += *rs.Status.TerminatingReplicas
		case rs.Status.ObservedGeneration > 0:
			status.TerminatingReplicas = nil // a controller that does not count them has been there
		}
	}
	if latest != nil {
		status.UpdatedReplicas = latest.Status.Replicas
	}
	status.UnavailableReplicas = max(wanted-status.AvailableReplicas, 0)
	return status
}

// noteAvailable says whether as many pods serve as must.
func (f Facts) noteAvailable(c *conditions, status *appsv1.DeploymentStatus) {
	_, unavailable := bounds(f.Deployment)
	if int(status.AvailableReplicas) >= int(ptr.Deref(f.Deployment.Spec.Replicas, 1))-unavailable {
		c.set(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		c.set(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
}

// noteFailure repeats what a set says that cannot make or delete its pods, the
// new set's word before any other's.
func (f Facts) noteFailure(c *conditions) {
	said := failure(f.newSet())
	for _, rs := range f.sorted() {
		if said == nil {
			said = failure(rs)
		}
	}
	if said == nil {
		c.drop(appsv1.DeploymentReplicaFailure)
		return
	}
	c.put(appsv1.DeploymentCondition{
		Type: appsv1.DeploymentReplicaFailure, Status: said.Status, Reason: said.Reason, Message: said.Message,
		LastTransitionTime: said.LastTransitionTime, LastUpdateTime: said.LastTransitionTime,
	})
}

func failure(rs *appsv1.ReplicaSet) *appsv1.ReplicaSetCondition {
	if rs == nil {
		return nil
	}
	for i := range rs.Status.Conditions {
		if rs.Status.Conditions[i].Type == appsv1.ReplicaSetReplicaFailure {
			return &rs.Status.Conditions[i]
		}
	}
	return nil
}
