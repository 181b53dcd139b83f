package podgc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/sim"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
	}
}

// end gives a pod a phase to end in.
func end(t *testing.T, s *sim.Sim, name string, phase corev1.PodPhase, reason string) {
	t.Helper()
	p := &corev1.Pod{}
	must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, p))
	p = p.DeepCopy()
	p.Status.Phase, p.Status.Reason = phase, reason
	must(t, s.API().Status().Update(t.Context(), p))
}

func left(t *testing.T, s *sim.Sim) []string {
	t.Helper()
	pods := &corev1.PodList{}
	must(t, s.API().List(t.Context(), pods))
	var names []string
	for i := range pods.Items {
		names = append(names, pods.Items[i].Name)
	}
	return names
}

// Of the pods that have ended only so many stay, whatever goes wrong meanwhile;
// others are not counted.
func TestEndedPodsAreTooMany(t *testing.T) {
	for seed := range uint64(60) {
		faults := sim.AllFaults
		faults.DeletePod, faults.Container = 0, 0
		s := sim.New(sim.Config{Seed: seed, NoToyScheduler: true, Loops: []loop.Loop{podgc.Loop(3)}, Faults: faults})
		s.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "far"}}) // no toy node: the test speaks for it
		for i := range 9 {
			s.Create(pod(fmt.Sprint("p", i), "far"))
			must(t, s.Run(3))
			switch i {
			case 0, 5: // run on
			case 7:
				end(t, s, "p7", corev1.PodFailed, "Evicted")
			default:
				end(t, s, fmt.Sprint("p", i), []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed}[i%2], "")
			}
		}
		must(t, s.Run(100))
		must(t, s.Settle(3000))
		if got := left(t, s); len(got) != 5 || !slices.Contains(got, "p0") || !slices.Contains(got, "p5") || slices.Contains(got, "p7") {
			t.Fatalf("seed %d: %v are left", seed, got)
		}
		before := s.Writes()
		s.Wake()
		must(t, s.Settle(3000))
		if n := s.Writes() - before; n != 0 {
			t.Fatalf("seed %d: a cluster at rest was written %d times", seed, n)
		}
	}
}

// Pods that end by the hundred are counted now and then, not with each of them,
// and a pod that cannot be deleted is no hot loop.
func TestEndedPodsAreCountedNowAndThen(t *testing.T) {
	s := sim.New(sim.Config{Seed: 1, NoToyScheduler: true, Loops: []loop.Loop{podgc.Loop(1)}})
	s.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "far"}})
	held := pod("a-held", "far")
	held.Finalizers = []string{"example.com/held"}
	s.Create(held)
	end(t, s, "a-held", corev1.PodFailed, "")
	for i := range 20 {
		s.Create(pod(fmt.Sprint("p", i), "far"))
		end(t, s, fmt.Sprint("p", i), corev1.PodFailed, "")
		must(t, s.Run(4))
	}
	began := s.Now()
	must(t, s.Settle(2000))
	if took := s.Now().Sub(began); took > 25*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := left(t, s); len(got) != 2 || got[0] != "a-held" {
		t.Errorf("%v are left", got)
	}
	if writes := strings.Count(strings.Join(s.Trace(), "\n"), "delete Pod default/a-held"); writes != 1 {
		t.Errorf("the held pod was deleted %d times", writes)
	}
}

// A node that comes back and is gone once more has its quarantine again.
func TestEachAbsenceHasItsQuarantine(t *testing.T) {
	s := sim.New(sim.Config{Seed: 1, NoToyScheduler: true, Loops: []loop.Loop{podgc.Loop(0)}})
	node := func() *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "far"}} }
	s.Create(pod("first", "far"))
	must(t, s.Settle(1000))
	if got := left(t, s); len(got) != 0 {
		t.Fatalf("%v is left of a node that is not there", got)
	}
	s.Create(node())
	must(t, s.Settle(1000))
	s.Create(pod("second", "far"))
	must(t, s.Settle(1000))
	gone := s.Now()
	must(t, s.API().Delete(t.Context(), node()))
	for len(left(t, s)) > 0 {
		if !s.Step() {
			t.Fatal("the pod of a node that is gone stays")
		}
	}
	if waited := s.Now().Sub(gone); waited < 40*time.Second || waited > 45*time.Second {
		t.Errorf("it went after %s", waited)
	}
}
