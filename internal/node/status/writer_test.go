package status_test

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	testingclock "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/node/status"
	"berth.dev/berth/internal/plan/podsync"
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

// While a pod is being made its status is held back a moment: what comes of it is
// then the first that is written. Without news, or when somebody waits, it is
// written as it is.
func TestBeingMadeIsHeldBack(t *testing.T) {
	creating := corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: podsync.ContainerCreating}}},
	}}
	failed := *creating.DeepCopy()
	failed.ContainerStatuses[0].State.Waiting.Reason = podsync.ErrImagePull
	running := corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
	}}
	for name, c := range map[string]struct {
		then   *corev1.PodStatus
		wait   time.Duration
		writes int
	}{
		"runs soon":        {&running, 0, 1},
		"fails soon":       {&failed, 0, 1},
		"nothing comes":    {nil, time.Second, 1},
		"somebody waits":   {nil, 0, 1},
		"runs after a bit": {&running, time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "u"}}
			api, now := fake.NewClientset(pod), testingclock.NewFakeClock(time.Now())
			w := status.New(api, now, slog.New(slog.DiscardHandler))
			w.Set(t.Context(), pod, creating)
			if c.wait > 0 {
				for !now.HasWaiters() {
					time.Sleep(time.Millisecond)
				}
				now.Step(c.wait)
				w.Flush(t.Context())
			}
			want := creating
			if c.then != nil {
				want = *c.then
				w.Set(t.Context(), pod, want)
			}
			w.Flush(t.Context())
			got, err := api.CoreV1().Pods("default").Get(t.Context(), "app", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(got.Status, want) {
				t.Errorf("it is %+v", got.Status)
			}
			patches := 0
			for _, a := range api.Actions() {
				if a.GetVerb() == "patch" {
					patches++
				}
			}
			if patches != c.writes {
				t.Errorf("%d writes, want %d", patches, c.writes)
			}
		})
	}
}
