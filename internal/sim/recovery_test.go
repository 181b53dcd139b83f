package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

func editSet(t *testing.T, s *sim.Sim, f func(*appsv1.StatefulSet)) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	if err := s.API().Get(t.Context(), key("web"), set); err != nil {
		t.Fatal(err)
	}
	set = set.DeepCopy()
	f(set)
	if err := s.API().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
}

// All pods are lost at once: the three that were ready before start together,
// the new one in its turn. The process that brings them back is a new one.
func TestRecoveryStartsTogether(t *testing.T) {
	for _, c := range []struct {
		recovery string
		before   []string // what is made before any pod is ready again
	}{{"Parallel", []string{"web-0", "web-1", "web-2"}}, {"Ordered", []string{"web-0"}}} {
		s := newSim(9, sim.Faults{Restart: 0.05})
		set := web(3)
		set.Annotations = map[string]string{options.Recovery: c.recovery}
		s.Create(set)
		settled(t, s)
		editSet(t, s, func(set *appsv1.StatefulSet) {
			set.Spec.Replicas = ptr.To(int32(4))
			set.Spec.Template.Labels["new"] = "yes" // and what comes back is of a new revision
			set.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
			set.Spec.UpdateStrategy.RollingUpdate = nil
			set.Spec.Template.Spec.Containers[0].Image = "unready"
		})
		settled(t, s)
		for _, name := range podNames(t, s) {
			pod := &corev1.Pod{}
			pod.Namespace, pod.Name = "default", name
			if err := s.API().Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
				t.Fatal(err)
			}
		}
		settled(t, s)
		if names := podNames(t, s); !slices.Equal(names, c.before) {
			t.Errorf("%s: made while none is ready: %v, want %v", c.recovery, names, c.before)
		}
		editSet(t, s, func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = "good" })
		settled(t, s)
		for _, name := range podNames(t, s) {
			pod := &corev1.Pod{}
			pod.Namespace, pod.Name = "default", name
			if err := s.API().Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
				t.Fatal(err)
			}
		}
		settled(t, s)
		if err := s.Converged(); err != nil {
			t.Errorf("%s: %v", c.recovery, err)
		}
	}
}

// A pod that keeps failing is made again less and less often, however often the
// process restarts; the first pod that becomes available ends that.
func TestBackOff(t *testing.T) {
	s := newSim(10, sim.Faults{})
	set := web(2)
	set.Spec.Template.Spec.Containers[0].Image = "fails"
	s.Create(set)
	begun := s.Now()
	for n := 1; s.Now().Sub(begun) < 10*time.Minute && s.Step(); n++ {
		if n%40 == 0 {
			s.Restart()
		}
	}
	made := count(s, "create Pod default/web-0")
	if made < 8 || made > 13 {
		t.Errorf("%d pods were made in ten minutes, want about 10: at once, and after 1, 2, 4 … 256 s", made)
	}
	backOff := func() string {
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			t.Fatal(err)
		}
		for _, c := range set.Status.Conditions {
			if c.Type == plan.ConditionBackOff {
				return c.Message
			}
		}
		return ""
	}
	if got := backOff(); !strings.HasPrefix(got, "web-0: replaced ") {
		t.Errorf("condition BackOff says %q", got)
	}
	editSet(t, s, func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = "good" })
	fixed := s.Now()
	settled(t, s)
	if err := s.Converged(); err != nil {
		t.Error(err)
	}
	if got := backOff(); got != "" {
		t.Errorf("after the repair condition BackOff still says %q", got)
	}
	for _, line := range s.Trace() {
		if strings.Contains(line, "web-1 is ready") {
			return
		}
	}
	t.Errorf("web-1 did not come up after %s", s.Now().Sub(fixed))
}
