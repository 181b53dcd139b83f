package disruption

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// StaleTimeout is how long a pod may be a target of disruption without ending.
const StaleTimeout = 2 * time.Minute

// Stale says that the pod was to be disrupted, and after how long it counts as
// left alone; the condition DisruptionTarget is wrong then. What the kubelet
// said stays, however long it takes.
func Stale(pod *corev1.Pod, now time.Time) (targeted bool, left time.Duration) {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false, 0
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != corev1.DisruptionTarget {
			continue
		}
		if c.Status != corev1.ConditionTrue || c.Reason == corev1.PodReasonTerminationByKubelet {
			return false, 0
		}
		return true, max(StaleTimeout-now.Sub(c.LastTransitionTime.Time), 0)
	}
	return false, 0
}
