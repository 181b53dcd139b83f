package sim_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

// An image that does not exist takes no pod down, and one that does is on a node
// before the pod there goes.
func TestImagesComeFirst(t *testing.T) {
	s := newSim(12, sim.Faults{Stale: 0.5})
	set := web(3)
	set.Annotations = map[string]string{options.PrePull: "true"}
	s.Create(set)
	settled(t, s)
	before := podsByName(t, s)
	editSet(t, s, func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = "bad" })
	settled(t, s)
	for name, pod := range podsByName(t, s) {
		if pod.UID != before[name].UID {
			t.Errorf("%s was taken for an image that does not exist", name)
		}
	}
	editSet(t, s, func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = "good:2" })
	settled(t, s)
	if err := s.Converged(); err != nil {
		t.Fatal(err)
	}
	trace := s.Trace()
	at := func(words string) int {
		return slices.IndexFunc(trace, func(line string) bool { return strings.Contains(line, words) })
	}
	for _, name := range []string{"web-0", "web-1", "web-2"} {
		pulled, deleted := at("pulls good:2 for "+name), at("statefulset: delete Pod default/"+name)
		if pulled < 0 || deleted < pulled {
			t.Errorf("%s: pulled in line %d, deleted in line %d", name, pulled, deleted)
		}
	}
}

// A node that knows nothing of pulling ahead is waited for, but not for ever.
func TestNodeThatDoesNotPullAhead(t *testing.T) {
	s := sim.New(sim.Config{Seed: 13, Loops: loops(), NoPullAhead: true})
	set := web(2)
	set.Annotations = map[string]string{options.PrePull: "true"}
	s.Create(set)
	settled(t, s)
	editSet(t, s, func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = "good:2" })
	begun := s.Now()
	settled(t, s)
	if err := s.Converged(); err != nil {
		t.Fatal(err)
	}
	if took := s.Now().Sub(begun); took.Minutes() < 5 {
		t.Errorf("the rollout took %s, want five minutes of patience first", took)
	}
}
