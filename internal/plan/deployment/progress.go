package deployment

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Reasons of the condition Progressing.
const (
	setCreated     = "NewReplicaSetCreated"
	setFound       = "FoundNewReplicaSet"
	setUpdated     = "ReplicaSetUpdated"
	setAvailable   = "NewReplicaSetAvailable"
	SetCreateError = "ReplicaSetCreateError"
	timedOut       = "ProgressDeadlineExceeded"
	paused         = "DeploymentPaused"
	resumed        = "DeploymentResumed"
)

// notePause keeps a pause from looking like a lack of progress.
func (f Facts) notePause(c *conditions) {
	now := c.get(appsv1.DeploymentProgressing)
	isPaused := now != nil && now.Reason == paused
	switch {
	case now != nil && now.Reason == timedOut:
	case f.Deployment.Spec.Paused && !isPaused:
		c.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, paused, "Deployment is paused")
	case !f.Deployment.Spec.Paused && isPaused:
		c.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, resumed, "Deployment is resumed")
	}
}

// noteSet says what has become of the new set.
func (f Facts) noteSet(c *conditions, o Outcome) {
	now := c.get(appsv1.DeploymentProgressing)
	switch latest := f.newSet(); {
	case o.Error != "" && now != nil && now.Reason == timedOut:
	case o.Error != "":
		c.set(appsv1.DeploymentProgressing, corev1.ConditionFalse, SetCreateError, CreateErrorText(o.Failed, o.Error))
	case o.Created != "":
		c.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, setCreated, fmt.Sprintf("Created new replica set %q", o.Created))
	case latest != nil && now == nil:
		c.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, setFound, fmt.Sprintf("Found new replica set %q", latest.Name))
	}
}

// CreateErrorText is how it is said that a set could not be made.
func CreateErrorText(name, text string) string {
	return fmt.Sprintf("Failed to create new replica set %q: %s", name, text)
}

// noteProgress compares the counts with those published before.
func (f Facts) noteProgress(c *conditions, status *appsv1.DeploymentStatus) {
	d := f.Deployment
	if !hasDeadline(d) {
		c.drop(appsv1.DeploymentProgressing)
		return
	}
	now := c.get(appsv1.DeploymentProgressing)
	if now != nil && now.Reason == setAvailable && status.Replicas == status.UpdatedReplicas {
		return // not a rollout: pods that come and go are no progress
	}
	who := fmt.Sprintf("Deployment %q", d.Name)
	if latest := f.newSet(); latest != nil {
		who = fmt.Sprintf("ReplicaSet %q", latest.Name)
	}
	switch {
	case complete(d, status):
		c.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, setAvailable, who+" has successfully progressed.")
	case progressing(&d.Status, status):
		c.renew(appsv1.DeploymentProgressing, setUpdated, who+" is progressing.")
	case now != nil && now.Reason != setAvailable && now.Reason != timedOut && f.left(now) < 0:
		c.set(appsv1.DeploymentProgressing, corev1.ConditionFalse, timedOut, who+" has timed out progressing.")
	}
}

// progressing reports whether there are more new pods, fewer old ones, or more
// that are ready or available.
func progressing(before, now *appsv1.DeploymentStatus) bool {
	return now.UpdatedReplicas > before.UpdatedReplicas ||
		now.Replicas-now.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		now.ReadyReplicas > before.ReadyReplicas ||
		now.AvailableReplicas > before.AvailableReplicas
}

// left is how long the deadline is away, negative when it has passed.
func (f Facts) left(c *appsv1.DeploymentCondition) time.Duration {
	deadline := time.Duration(*f.Deployment.Spec.ProgressDeadlineSeconds) * time.Second
	return c.LastUpdateTime.Add(deadline).Sub(f.Now)
}

// deadline is when to look whether there has been progress.
func (f Facts) deadline(p Plan, status *appsv1.DeploymentStatus) time.Duration {
	c := conditions{all: status.Conditions}
	now := c.get(appsv1.DeploymentProgressing)
	if !p.Rollout || !hasDeadline(f.Deployment) || now == nil || now.Reason == timedOut || now.Reason == setAvailable {
		return 0
	}
	return max(f.left(now), 0) + time.Second // a second beyond, as times are kept in seconds
}
