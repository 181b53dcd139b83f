package disruption

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Target says in a pod's status that it is about to be ended from outside, and why.
func Target(pod *corev1.Pod, reason, message string, now time.Time) {
	want := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now),
	}
	if pod.Status.ObservedGeneration != 0 {
		want.ObservedGeneration = pod.Generation
	}
	conditions := pod.Status.Conditions
	i := slices.IndexFunc(conditions, func(c corev1.PodCondition) bool { return c.Type == want.Type })
	if i < 0 {
		pod.Status.Conditions = append(conditions, want)
		return
	}
	if conditions[i].Status == want.Status {
		want.LastTransitionTime = conditions[i].LastTransitionTime
	}
	conditions[i] = want
}
