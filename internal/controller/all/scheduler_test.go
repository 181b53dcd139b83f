package all_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/sim"
)

// single is a pod of nobody.
func single(name, app, cpu string, priority int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			Priority: ptr.To(priority), TerminationGracePeriodSeconds: ptr.To[int64](30),
			Containers: []corev1.Container{{Name: "c", Image: "good:1", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
			}}},
		},
	}
}

func apart(p *corev1.Pod) *corev1.Pod {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
		}},
	}}
	return p
}

// placement remembers where each pod was bound: never anywhere else.
type placement map[types.UID]string

func (b placement) once(s *sim.Sim) error {
	for _, p := range pods(s) {
		if was := b[p.UID]; was != "" && was != p.Spec.NodeName {
			return fmt.Errorf("pod %s was bound to %s and is on %q", p.Name, was, p.Spec.NodeName)
		}
		b[p.UID] = p.Spec.NodeName
	}
	return nil
}

// keptApart is broken by two pods of app "apart" on one node.
func keptApart(s *sim.Sim) error {
	on := map[string]string{}
	for _, p := range pods(s) {
		if p.Labels["app"] != "apart" || p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed {
			continue
		}
		if other := on[p.Spec.NodeName]; other != "" {
			return fmt.Errorf("pods %s and %s share %s", other, p.Name, p.Spec.NodeName)
		}
		on[p.Spec.NodeName] = p.Name
	}
	return nil
}

// Nodes full of unimportant pods, and important ones come, on bad days.
func TestPreemptionUnderFaults(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		faults := sim.AllFaults
		faults.DeletePod, faults.Container, faults.Silent = 0, 0, 0 // pods of nobody do not come back
		bound := placement{}
		s := cluster(t, uint64(seed), faults, bound.once, keptApart)
		for i := range 4 {
			s.Create(single(fmt.Sprint("low-", i), "low", "1", 0))
		}
		s.Create(apart(single("apart-0", "apart", "100m", 5)))
		must(t, s.Run(300))
		s.Create(&policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "low"},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "low"}}},
		})
		s.Create(single("high-0", "high", "900m", 10), single("high-1", "high", "900m", 10), apart(single("apart-1", "apart", "100m", 5)))
		s.Create(single("never", "never", "1500m", 20))
		never := &corev1.Pod{}
		must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "never"}, never))
		must(t, s.Run(1500))
		must(t, s.Settle(20000))
		for _, p := range pods(s) {
			if schedulable := p.Labels["app"] != "low"; schedulable && p.Spec.NodeName == "" {
				t.Fatalf("seed %d: %s of priority %d waits: %v\n%s", seed, p.Name, *p.Spec.Priority, p.Status.Conditions, strings.Join(s.Trace()[max(0, len(s.Trace())-60):], "\n"))
			}
		}
		before := s.Writes()
		s.Wake()
		must(t, s.Settle(20000))
		if n := s.Writes() - before; n != 0 {
			t.Fatalf("seed %d: %d writes at rest:\n%s", seed, n, strings.Join(s.Trace()[max(0, len(s.Trace())-40):], "\n"))
		}
	}
}

func TestPreemptionSaysWhy(t *testing.T) {
	s := cluster(t, 1, sim.Faults{})
	for i := range 2 {
		s.Create(single(fmt.Sprint("low-", i), "low", "2", 0))
	}
	must(t, s.Settle(5000))
	s.Create(single("high", "high", "1500m", 10))
	must(t, s.Settle(5000))
	var low []string
	for _, p := range pods(s) {
		if p.Name == "high" && (p.Spec.NodeName == "" || p.Status.NominatedNodeName != "" && p.Status.NominatedNodeName != p.Spec.NodeName) {
			t.Errorf("high is on %q, nominated %q", p.Spec.NodeName, p.Status.NominatedNodeName)
		}
		if p.Labels["app"] == "low" {
			low = append(low, p.Name)
		}
	}
	if len(low) != 1 {
		t.Errorf("left: %v", low)
	}
	high := &corev1.Pod{}
	must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "high"}, high))
	for _, said := range []string{
		"event FailedScheduling: 0/2 nodes are available: 2 Insufficient cpu.",
		fmt.Sprintf("event Preempted: Preempted by pod %s on node %s", high.UID, high.Spec.NodeName),
	} {
		if !slices.ContainsFunc(s.Trace(), func(line string) bool { return strings.HasSuffix(line, said) }) {
			t.Errorf("nobody said %q:\n%s", said, strings.Join(s.Trace(), "\n"))
		}
	}
}

// Pods with gates wait, and then all are served by priority: those that matter
// most get the room, without anybody being sent away.
func TestPriorityOrder(t *testing.T) {
	for seed := range 10 {
		bound := placement{}
		s := cluster(t, uint64(seed), sim.Faults{}, bound.once)
		must(t, s.Settle(5000))
		s.Create(single("full-0", "full", "2", 100), single("full-1", "full", "2", 100))
		must(t, s.Settle(5000))
		for i := range int32(8) {
			s.Create(single(fmt.Sprint("p", i), "p", "1", i))
			gated := single(fmt.Sprint("gated", i), "p", "1", 50)
			gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "wait"}}
			s.Create(gated)
		}
		must(t, s.Settle(5000))
		for _, name := range []string{"full-0", "full-1"} {
			must(t, s.API().Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}))
			must(t, s.Settle(5000))
		}
		var placed []string
		for _, p := range pods(s) {
			if p.Spec.NodeName != "" {
				placed = append(placed, p.Name)
			}
		}
		if slices.Sort(placed); !slices.Equal(placed, []string{"p4", "p5", "p6", "p7"}) {
			t.Errorf("seed %d: placed are %v", seed, placed)
		}
	}
}
