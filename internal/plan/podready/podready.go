// Package podready says what every workload asks of its pods: whether one
// counts, is ready, and has been ready for long enough.
package podready

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Condition is the pod's condition of that type, nil when it has none.
func Condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// Ready reports whether the pod serves.
func Ready(pod *corev1.Pod) bool {
	c := Condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Available reports whether the pod has been ready for minReadySeconds; left is
// how long a ready one has to go, 0 when time alone does not help.
func Available(pod *corev1.Pod, minReadySeconds int32, now time.Time) (available bool, left time.Duration) {
	c := Condition(pod, corev1.PodReady)
	switch {
	case c == nil || c.Status != corev1.ConditionTrue:
		return false, 0
	case minReadySeconds == 0:
		return true, 0
	case c.LastTransitionTime.IsZero():
		return false, 0
	}
	limit := time.Duration(minReadySeconds) * time.Second
	left = c.LastTransitionTime.Add(limit).Sub(now)
	// Where a clock was set back it has become ready in the future. The clock may be
	// set right before that comes, so nobody is to wait longer than the limit.
	return left <= 0, min(max(left, 0), limit)
}

// Ended reports whether the pod's containers will not run again.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// Active reports whether the pod counts as a replica: it has not ended and is
// not being deleted.
func Active(pod *corev1.Pod) bool { return !Ended(pod) && pod.DeletionTimestamp == nil }
