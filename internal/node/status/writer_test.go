package status_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/node/status"
)

// A status that was thought out before somebody else's condition came, or went,
// neither takes that away nor brings it back.
func TestConditionsOfOthersStay(t *testing.T) {
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status}
	}
	has := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "u"}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		condition("example.com/new", corev1.ConditionTrue), condition(corev1.PodResizePending, corev1.ConditionTrue), condition(corev1.PodReady, corev1.ConditionFalse),
	}}}
	want := corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
		condition("example.com/old", corev1.ConditionTrue), condition(corev1.PodReady, corev1.ConditionTrue),
	}}
	written, err := status.Patch(t.Context(), fake.NewClientset(has), has, want)
	if err != nil {
		t.Fatal(err)
	}
	got := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range written.Status.Conditions {
		got[c.Type] = c.Status
	}
	if len(got) != 2 || got["example.com/new"] != corev1.ConditionTrue || got[corev1.PodReady] != corev1.ConditionTrue || written.Status.Phase != corev1.PodRunning {
		t.Errorf("%v %s", got, written.Status.Phase)
	}
}
