package statefulset

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// A set of three from its creation over a crash that does not end to its repair.
func TestConditions(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) metav1.Time { return metav1.NewTime(began.Add(time.Duration(seconds) * time.Second)) }
	foreign := appsv1.StatefulSetCondition{Type: "example.com/Backup", Status: corev1.ConditionTrue, LastTransitionTime: at(0)}
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web", CreationTimestamp: at(0), Annotations: map[string]string{options.ProgressDeadlineSeconds: "60"}},
		Status:     appsv1.StatefulSetStatus{Conditions: []appsv1.StatefulSetCondition{foreign}},
	}
	set.Spec.Replicas = new(int32(2))
	ready := func(ordinal, made, since int) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: PodName("web", ordinal), CreationTimestamp: at(made), Labels: map[string]string{
			appsv1.ControllerRevisionHashLabelKey: "A", appsv1.StatefulSetPodNameLabel: PodName("web", ordinal),
		}}}
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(since)}}
		return p
	}
	crashing := func(ordinal, made int) *corev1.Pod {
		p := ready(ordinal, made, made)
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "db", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
		return p
	}
	for _, c := range []struct {
		name   string
		now    int
		pods   []*corev1.Pod
		edit   func()
		update string   // A, B after an edit
		want   []string // type status since reason: message
		again  int
	}{
		{name: "new", now: 0, want: []string{
			"Available False 0 PodsUnavailable: 0 of 2 pods are available",
			"Progressing True 0 RolloutProgressing: 0 of 2 pods are of the update revision, 0 are available",
		}, again: 60},
		{name: "one is up", now: 5, pods: []*corev1.Pod{ready(0, 1, 4)}, want: []string{
			"Available False 0 PodsUnavailable: 1 of 2 pods are available",
			"Progressing True 0 RolloutProgressing: 1 of 2 pods are of the update revision, 1 are available",
		}, again: 59},
		{name: "both are up", now: 9, pods: []*corev1.Pod{ready(0, 1, 4), ready(1, 5, 8)}, want: []string{
			"Available True 9 PodsAvailable: 2 of 2 pods are available",
			"Progressing True 9 RolloutComplete: all pods are as wanted, the update revision is A",
		}},
		{name: "an hour later one crashes", now: 3600, pods: []*corev1.Pod{ready(0, 1, 4), crashing(1, 5)}, want: []string{
			"Available False 3600 PodsUnavailable: 1 of 2 pods are available",
			"Progressing True 3600 RolloutProgressing: 2 of 2 pods are of the update revision, 1 are available",
			"Held True 3600 AwaitReady: waiting for web-1 to be Ready: container db in CrashLoopBackOff",
		}, again: 60},
		{name: "for half of the deadline", now: 3630, pods: []*corev1.Pod{ready(0, 1, 4), crashing(1, 5)}, want: []string{
			"Available False 3600 PodsUnavailable: 1 of 2 pods are available",
			"Progressing True 3600 RolloutProgressing: 2 of 2 pods are of the update revision, 1 are available",
			"Held True 3600 AwaitReady: waiting for web-1 to be Ready: container db in CrashLoopBackOff",
		}, again: 30},
		{name: "for all of it", now: 3660, pods: []*corev1.Pod{ready(0, 1, 4), crashing(1, 5)}, want: []string{
			"Available False 3600 PodsUnavailable: 1 of 2 pods are available",
			"Progressing False 3660 ProgressDeadlineExceeded: nothing has moved for 1m0s: waiting for web-1 to be Ready: container db in CrashLoopBackOff",
			"Held True 3600 AwaitReady: waiting for web-1 to be Ready: container db in CrashLoopBackOff",
		}},
		{name: "and beyond", now: 3700, pods: []*corev1.Pod{ready(0, 1, 4), crashing(1, 5)}, want: []string{
			"Available False 3600 PodsUnavailable: 1 of 2 pods are available",
			"Progressing False 3660 ProgressDeadlineExceeded: nothing has moved for 1m0s: waiting for web-1 to be Ready: container db in CrashLoopBackOff",
			"Held True 3600 AwaitReady: waiting for web-1 to be Ready: container db in CrashLoopBackOff",
		}},
		{name: "it is made anew", now: 3710, pods: []*corev1.Pod{ready(0, 1, 4)}, want: []string{
			"Available False 3600 PodsUnavailable: 1 of 2 pods are available",
			"Progressing False 3660 ProgressDeadlineExceeded: nothing has moved for 1m0s",
		}},
		{name: "and comes up", now: 3720, pods: []*corev1.Pod{ready(0, 1, 4), ready(1, 3711, 3719)}, want: []string{
			"Available True 3720 PodsAvailable: 2 of 2 pods are available",
			"Progressing True 3720 RolloutComplete: all pods are as wanted, the update revision is A",
		}},
		{name: "paused before an update", now: 4000, pods: []*corev1.Pod{ready(0, 1, 4), ready(1, 3711, 3719)}, edit: func() { set.Annotations[options.Paused] = "true" }, want: []string{
			"Available True 3720 PodsAvailable: 2 of 2 pods are available",
			"Progressing Unknown 4000 RolloutPaused: the rollout to revision B is paused",
		}},
		{name: "replaced as a whole", now: 4100, pods: []*corev1.Pod{ready(0, 1, 4), ready(1, 3711, 3719)}, edit: func() {
			delete(set.Annotations, options.Paused)
			set.Spec.UpdateStrategy.Type = appsv1.RecreateStatefulSetStrategyType
		}, want: []string{
			"Available True 3720 PodsAvailable: 2 of 2 pods are available",
			"Progressing True 4100 RecreateInProgress: Deleting old revision pods",
		}, again: 60},
		{name: "no pod is left", now: 4110, update: "B", want: []string{
			"Available False 4110 PodsUnavailable: 0 of 2 pods are available",
			"Progressing True 4100 RecreateInProgress: Waiting for new-revision pods to be created",
		}, again: 50},
		{name: "nor comes", now: 4160, update: "B", want: []string{
			"Available False 4110 PodsUnavailable: 0 of 2 pods are available",
			"Progressing False 4160 ProgressDeadlineExceeded: nothing has moved for 1m0s",
		}},
		{name: "and again", now: 4200, update: "C", pods: []*corev1.Pod{ready(0, 4190, 4199)}, want: []string{
			"Available False 4110 PodsUnavailable: 1 of 2 pods are available",
			"Progressing True 4200 RecreateInProgress: Deleting old revision pods",
		}, again: 59},
		{name: "the new are there", now: 4220, pods: []*corev1.Pod{ready(0, 4210, 4212), ready(1, 4213, 4216)}, want: []string{
			"Available True 4220 PodsAvailable: 2 of 2 pods are available",
			"Progressing False 4220 RecreateCompleted: All pods recreated successfully",
		}},
		{name: "and stay", now: 4300, pods: []*corev1.Pod{ready(0, 4210, 4212), ready(1, 4213, 4216)}, want: []string{
			"Available True 4220 PodsAvailable: 2 of 2 pods are available",
			"Progressing False 4220 RecreateCompleted: All pods recreated successfully",
		}},
		{name: "until one fails", now: 4400, pods: []*corev1.Pod{ready(0, 4210, 4212)}, want: []string{
			"Available False 4400 PodsUnavailable: 1 of 2 pods are available",
			"Progressing True 4400 RolloutProgressing: 1 of 2 pods are of the update revision, 1 are available",
		}, again: 60},
	} {
		update := "A"
		if c.edit != nil {
			c.edit()
			update = "B"
		}
		if c.update != "" {
			update = c.update
		}
		f := Facts{Set: set, Pods: c.pods, Current: "A", Update: update, Now: at(c.now).Time}
		s := Observe(f)
		p := Decide(s, Production)
		status := Status(s, p, set, 0, Production)
		var again time.Duration
		status.Conditions, again = Conditions(f, s, p, &status)
		if len(status.Conditions) == 0 || status.Conditions[0] != foreign {
			t.Errorf("%s: somebody else's condition is lost: %v", c.name, status.Conditions)
		}
		var got []string
		for _, x := range status.Conditions[1:] {
			got = append(got, fmt.Sprintf("%s %s %.0f %s: %s", x.Type, x.Status, x.LastTransitionTime.Sub(began).Seconds(), x.Reason, x.Message))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
		if again != time.Duration(c.again)*time.Second {
			t.Errorf("%s: again in %s, want %ds", c.name, again, c.again)
		}
		set.Status = status
	}
}
