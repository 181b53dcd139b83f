package sim_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/disruption"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/statefulset"
	"berth.dev/berth/internal/sim"
)

func web(replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": "web"}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: "nginx",
			Replicas:    ptr.To(replicas),
			Selector:    &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "good:1"}}},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "www"}}},
		},
	}
}

func loops() []loop.Loop { return []loop.Loop{statefulset.Loop(), disruption.Loop(nil)} }

func newSim(seed uint64, faults sim.Faults) *sim.Sim {
	return sim.New(sim.Config{Seed: seed, Loops: loops(), Faults: faults})
}

func TestSetComesUpAndRests(t *testing.T) {
	s := newSim(1, sim.Faults{})
	s.Create(web(3))
	if err := s.Settle(2000); err != nil {
		t.Fatal(err)
	}
	if err := s.Converged(); err != nil {
		for _, line := range s.Trace() {
			fmt.Println(line)
		}
		t.Fatal(err)
	}
	before := s.Writes()
	s.Wake()
	if err := s.Settle(2000); err != nil {
		t.Fatal(err)
	}
	if n := s.Writes() - before; n != 0 {
		t.Errorf("a set at rest was written %d times", n)
	}
}

func TestFaults(t *testing.T) {
	for seed := range uint64(200) {
		s := newSim(seed, sim.AllFaults)
		s.Create(web(3))
		if err := s.Run(400); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(5000); err != nil {
			t.Fatal(err)
		}
		if err := s.Converged(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func key(name string) client.ObjectKey { return client.ObjectKey{Namespace: "default", Name: name} }

func deletePolicy(name string) client.DeleteOption {
	return client.PropagationPolicy(metav1.DeletionPropagation(name))
}
