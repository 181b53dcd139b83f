package deployment

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions are a Deployment's while they are brought up to date. What was
// there before is not changed.
type conditions struct {
	now time.Time
	all []appsv1.DeploymentCondition
}

func (c *conditions) get(kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range c.all {
		if c.all[i].Type == kind {
			return &c.all[i]
		}
	}
	return nil
}

func (c *conditions) drop(kind appsv1.DeploymentConditionType) {
	c.all = slices.DeleteFunc(slices.Clone(c.all), func(old appsv1.DeploymentCondition) bool { return old.Type == kind })
}

// set says something new; what was said with the same status and reason stands.
func (c *conditions) set(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(c.now.Truncate(time.Second))
	c.put(appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now})
}

func (c *conditions) put(next appsv1.DeploymentCondition) {
	old := c.get(next.Type)
	if old != nil && old.Status == next.Status && old.Reason == next.Reason {
		return
	}
	c.replace(old, next)
}

// renew says that it is true once more: the time of the update moves.
func (c *conditions) renew(kind appsv1.DeploymentConditionType, reason, message string) {
	now := metav1.NewTime(c.now.Truncate(time.Second))
	c.replace(c.get(kind), appsv1.DeploymentCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
	})
}

// replace puts a condition last; the time of its transition stays while its status does.
func (c *conditions) replace(old *appsv1.DeploymentCondition, next appsv1.DeploymentCondition) {
	if old != nil && old.Status == next.Status {
		next.LastTransitionTime = old.LastTransitionTime
	}
	c.drop(next.Type)
	c.all = append(c.all, next)
}
