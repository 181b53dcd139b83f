package sim_test

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/disruption"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

// budget wants so many of the pods labelled app=web to be healthy.
func budget(minAvailable int) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "guard"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromInt(minAvailable)),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}
}

// Two sets of two under one budget of three: both roll, and never are two pods
// away at once, whatever the caches show.
func TestBudgetAcrossSets(t *testing.T) {
	evictions := 0
	for seed := range uint64(40) {
		rolling := false
		s := sim.New(sim.Config{
			Seed: seed, Loops: loops(), Faults: sim.Faults{Stale: 0.6, Conflict: 0.02, Error: 0.02, Crash: 0.01},
			Check: []func(*sim.Sim) error{func(s *sim.Sim) error {
				if n := readyPods(t, s); rolling && n < 3 {
					return fmt.Errorf("only %d pods are ready, the budget asks for 3", n)
				}
				return nil
			}},
		})
		names := []string{"web", "db"}
		for _, name := range names {
			set := web(2)
			set.Name = name
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: ptr.To(intstr.FromInt32(2))}
			set.Annotations = map[string]string{options.RespectPDB: "true"}
			s.Create(set)
		}
		s.Create(budget(3))
		if err := s.Run(2000); err != nil {
			t.Fatal(err)
		}
		rolling = true
		for _, name := range names {
			set := &appsv1.StatefulSet{}
			if err := s.API().Get(t.Context(), key(name), set); err != nil {
				t.Fatal(err)
			}
			set = set.DeepCopy()
			set.Spec.Template.Spec.Containers[0].Image = "good:2"
			if err := s.API().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
		}
		settled(t, s)
		if err := s.Converged(); err != nil {
			t.Fatal(err)
		}
		evictions += count(s, "toy api: evicts")
	}
	if evictions < 40*4 {
		t.Errorf("%d evictions, want 4 in each history", evictions)
	}
}

func readyPods(t *testing.T, s *sim.Sim) int {
	t.Helper()
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range pods.Items {
		for _, c := range pods.Items[i].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pods.Items[i].DeletionTimestamp == nil {
				n++
			}
		}
	}
	return n
}

// A pod that was to go and stayed is no target any more after two minutes.
func TestStaleTarget(t *testing.T) {
	s := sim.New(sim.Config{Seed: 3, Loops: []loop.Loop{disruption.StaleLoop()}, Faults: sim.AllFaults})
	s.Create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "unready"}}},
	})
	pod := &corev1.Pod{}
	if err := s.API().Get(t.Context(), key("a"), pod); err != nil {
		t.Fatal(err)
	}
	pod = pod.DeepCopy()
	begun := s.Now()
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", LastTransitionTime: metav1.NewTime(begun),
	}}
	if err := s.API().Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(4000); err != nil {
		t.Fatal(err)
	}
	if err := s.API().Get(t.Context(), key("a"), pod); err != nil {
		t.Fatal(err)
	}
	for _, c := range pod.Status.Conditions {
		if waited := s.Now().Sub(begun); c.Type == corev1.DisruptionTarget && (c.Status != corev1.ConditionFalse || c.Reason != "" || waited < 2*time.Minute) {
			t.Errorf("after %s: %+v", waited, c)
		}
	}
}
