package disruption

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTarget(t *testing.T) {
	begun := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	Target(pod, "DeletionByPodGC", "why", begun)
	want := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", Message: "why", LastTransitionTime: metav1.NewTime(begun)}
	if len(pod.Status.Conditions) != 2 || pod.Status.Conditions[1] != want {
		t.Errorf("%+v", pod.Status.Conditions)
	}
	pod.Status.ObservedGeneration = 2
	Target(pod, "DeletionByTaintManager", "again", begun.Add(time.Hour))
	want.Reason, want.Message, want.ObservedGeneration = "DeletionByTaintManager", "again", 3
	if len(pod.Status.Conditions) != 2 || pod.Status.Conditions[1] != want {
		t.Errorf("%+v", pod.Status.Conditions)
	}
}
