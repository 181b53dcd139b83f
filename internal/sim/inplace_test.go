package sim_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

func podsByName(t *testing.T, s *sim.Sim) map[string]*corev1.Pod {
	t.Helper()
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	all := map[string]*corev1.Pod{}
	for i := range pods.Items {
		all[pods.Items[i].Name] = &pods.Items[i]
	}
	return all
}

// An image, a label and resources change in place: every pod keeps its UID, its
// node and its address, also over a bad image and back; an environment takes new
// pods.
func TestInPlaceUpdate(t *testing.T) {
	for seed := range uint64(20) {
		s := newSim(seed, sim.Faults{Stale: 0.5, Crash: 0.01, Conflict: 0.02, Error: 0.02})
		set := web(3)
		set.Annotations = map[string]string{options.InPlaceUpdate: "IfPossible"}
		set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
		s.Create(set)
		settled(t, s)
		before := podsByName(t, s)
		steps := []struct {
			name string
			edit func(*corev1.PodTemplateSpec)
			same bool
		}{
			{"image", func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Image = "good:2" }, true},
			{"resources and a label", func(p *corev1.PodTemplateSpec) {
				p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
				p.Labels["tier"] = "gold"
			}, true},
			{"a bad image", func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Image = "bad" }, true},
			{"a good one", func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Image = "good:3" }, true},
			{"environment", func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A"}} }, false},
		}
		for _, step := range steps {
			editSet(t, s, func(set *appsv1.StatefulSet) { step.edit(&set.Spec.Template) })
			if err := s.Run(300); err != nil {
				t.Fatal(err)
			}
			settled(t, s)
			if err := s.Converged(); err != nil && step.name != "a bad image" {
				t.Fatalf("seed %d, %s: %v", seed, step.name, err)
			}
			for name, pod := range podsByName(t, s) {
				if same := pod.UID == before[name].UID && pod.Status.PodIP == before[name].Status.PodIP && pod.Spec.NodeName == before[name].Spec.NodeName; same != step.same {
					t.Fatalf("seed %d, %s: %s is the same pod: %t", seed, step.name, name, same)
				}
				if step.name == "resources and a label" && (pod.Labels["tier"] != "gold" || pod.Status.ContainerStatuses[0].Resources.Requests.Cpu().Value() != 2) {
					t.Fatalf("seed %d: %s has not got what the template says", seed, name)
				}
			}
		}
	}
}

// Only: what was made anew by hand is, nothing else.
func TestOnlyInPlaceHolds(t *testing.T) {
	s := newSim(1, sim.Faults{})
	set := web(2)
	set.Annotations = map[string]string{options.InPlaceUpdate: "Only"}
	s.Create(set)
	settled(t, s)
	uids := map[string]types.UID{}
	for name, pod := range podsByName(t, s) {
		uids[name] = pod.UID
	}
	editSet(t, s, func(set *appsv1.StatefulSet) { // the simulated API has no admission
		set.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A"}}
	})
	settled(t, s)
	for name, pod := range podsByName(t, s) {
		if pod.UID != uids[name] {
			t.Errorf("%s was made anew", name)
		}
	}
	set = &appsv1.StatefulSet{}
	if err := s.API().Get(t.Context(), key("web"), set); err != nil {
		t.Fatal(err)
	}
	for _, c := range set.Status.Conditions {
		if c.Type == "Held" && c.Reason == "NotInPlace" {
			return
		}
	}
	t.Errorf("the set does not say that it is held: %v", set.Status.Conditions)
}
