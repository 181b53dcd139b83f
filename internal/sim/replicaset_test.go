package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/replicaset"
	"berth.dev/berth/internal/sim"
)

func replicas(name string, n int32) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(n), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "good:1"}}},
			},
		},
	}
}

// Users change ReplicaSets, and move pods between two of them, on bad days; in
// the end each has what it wants and nothing is written any more.
func TestReplicaSetHistories(t *testing.T) {
	steps, writes := 0, 0
	for seed := *firstSeed; seed < *firstSeed+uint64(*histories/3); seed++ {
		r := rand.New(rand.NewPCG(seed, 8))
		faults := sim.AllFaults
		if r.IntN(3) == 0 {
			faults = sim.Faults{Stale: 0.5}
		}
		s := sim.New(sim.Config{Seed: seed, Loops: []loop.Loop{replicaset.Loop()}, Faults: faults})
		s.Create(replicas("a", int32(r.IntN(5))), replicas("b", int32(r.IntN(5))))
		for range 1 + r.IntN(6) {
			if err := s.Run(r.IntN(150)); err != nil {
				t.Fatal(err)
			}
			editReplicas(t, s, r)
		}
		rest(t, s, seed)
		steps, writes = steps+s.Steps(), writes+s.Writes()
	}
	t.Logf("%d histories, %d steps, %d writes by loops", *histories/3, steps, writes)
}

// rest asks that a cluster without faults converges and is not written then.
func rest(t *testing.T, s *sim.Sim, seed uint64) {
	t.Helper()
	if err := s.Settle(8000); err != nil {
		t.Fatal(err)
	}
	if err := s.Converged(); err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, tail(s))
	}
	before := s.Writes()
	s.Wake()
	if err := s.Settle(8000); err != nil {
		t.Fatal(err)
	}
	if n := s.Writes() - before; n != 0 {
		t.Fatalf("seed %d: a cluster at rest was written %d times\n%s", seed, n, tail(s))
	}
}

func editReplicas(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	name := []string{"a", "b"}[r.IntN(2)]
	set := &appsv1.ReplicaSet{}
	if err := s.API().Get(t.Context(), key(name), set); err != nil {
		t.Fatal(err)
	}
	set = set.DeepCopy()
	switch r.IntN(6) {
	case 0, 1:
		set.Spec.Replicas = ptr.To(int32(r.IntN(6)))
	case 2:
		set.Spec.MinReadySeconds = int32(r.IntN(2) * 5)
	case 3: // a pod changes sides, or belongs to nobody
		pods := &corev1.PodList{}
		if err := s.API().List(t.Context(), pods); err != nil || len(pods.Items) == 0 {
			return
		}
		pod := pods.Items[r.IntN(len(pods.Items))].DeepCopy()
		pod.Labels["app"] = []string{"a", "b", "c"}[r.IntN(3)]
		if err := s.API().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		return
	case 4: // somebody's pod of one's own
		s.Create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "own-", Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
		})
		return
	case 5: // deleted and made anew, now and then over orphans
		if err := s.API().Delete(t.Context(), set.DeepCopy(), deletePolicy([]string{"Orphan", "Background", "Foreground"}[r.IntN(3)])); err != nil {
			t.Fatal(err)
		}
		again := replicas(name, int32(r.IntN(5)))
		for i := range 4000 {
			if i == 1000 {
				s.NodesBack()
			}
			if err := s.API().Create(t.Context(), again.DeepCopy()); err == nil {
				return
			}
			if err := s.Run(1); err != nil {
				t.Fatal(err)
			}
		}
		t.Fatalf("a deleted set does not go away:\n%s", tail(s))
	}
	if err := s.API().Update(t.Context(), set); err != nil {
		t.Fatal(fmt.Errorf("update %s: %w", name, err))
	}
}
