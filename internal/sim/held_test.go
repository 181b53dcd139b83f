package sim_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

// Two surplus pods of an ordered set that are not ready wait for each other, as
// upstream: the set says so in a condition and once in an event, and lets them go
// when it is asked to.
func TestScaleDownThatWaits(t *testing.T) {
	s := newSim(21, sim.Faults{})
	change := func(f func(*appsv1.StatefulSet)) {
		t.Helper()
		editSet(t, s, f)
		settled(t, s)
	}
	held := func() *appsv1.StatefulSetCondition {
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			t.Fatal(err)
		}
		for i, c := range set.Status.Conditions {
			if c.Type == plan.ConditionHeld {
				return &set.Status.Conditions[i]
			}
		}
		return nil
	}
	set := web(1)
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	s.Create(set)
	settled(t, s)
	change(func(set *appsv1.StatefulSet) { // more pods, which never get ready
		set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(1))
		set.Spec.Template.Spec.Containers[0].Image = "unready"
		set.Spec.Replicas = ptr.To(int32(3))
	})
	if c := held(); c != nil {
		t.Errorf("held before anything is: %+v", c)
	}
	change(func(set *appsv1.StatefulSet) {
		set.Spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement
		set.Spec.Replicas = ptr.To(int32(1))
	})
	c := held()
	if c == nil || c.Status != corev1.ConditionTrue || c.Reason != string(plan.AwaitLower) || !strings.Contains(c.Message, options.ScaleDownUnready) {
		t.Fatalf("held: %+v", c)
	}
	s.Wake()
	settled(t, s)
	if events := strings.Count(strings.Join(s.Trace(), "\n"), "event Held: "+c.Message); events != 1 {
		t.Errorf("%d events tell of it", events)
	}
	change(func(set *appsv1.StatefulSet) { set.Annotations = map[string]string{options.ScaleDownUnready: "true"} })
	if c := held(); c != nil {
		t.Errorf("held still: %+v", c)
	}
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil || len(pods.Items) != 1 || pods.Items[0].Name != "web-0" {
		t.Errorf("%d pods, %v", len(pods.Items), err)
	}
}
