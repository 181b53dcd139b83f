package sim_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

// A set with a name of 60 characters comes up, is updated, anew and in place, and
// goes back to a revision that it had: its pods carry the hash of the revision
// where its name would be too long for a label.
func TestLongName(t *testing.T) {
	for _, mode := range []string{"", "IfPossible"} {
		s := newSim(15, sim.Faults{Stale: 0.5})
		set := web(3)
		set.Name = strings.Repeat("n", 60)
		if mode != "" {
			set.Annotations = map[string]string{options.InPlaceUpdate: mode}
		}
		s.Create(set)
		settled(t, s)
		first := ""
		for _, image := range []string{"good:1", "good:2", "good:1"} {
			set := &appsv1.StatefulSet{}
			if err := s.API().Get(t.Context(), key(strings.Repeat("n", 60)), set); err != nil {
				t.Fatal(err)
			}
			set = set.DeepCopy()
			set.Spec.Template.Spec.Containers[0].Image = image
			if err := s.API().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			settled(t, s)
			if err := s.Converged(); err != nil {
				t.Fatal(err)
			}
			if err := s.API().Get(t.Context(), key(set.Name), set); err != nil {
				t.Fatal(err)
			}
			for name, pod := range podsByName(t, s) {
				if label := pod.Labels[appsv1.ControllerRevisionHashLabelKey]; len(label) > 10 || set.Status.UpdateRevision != set.Name+"-"+label {
					t.Errorf("%s has label %q, the revision is %s", name, label, set.Status.UpdateRevision)
				}
			}
			if first == "" {
				first = set.Status.UpdateRevision
			}
			if image == "good:1" && set.Status.UpdateRevision != first {
				t.Errorf("back at the first image the revision is %s, not %s", set.Status.UpdateRevision, first)
			}
		}
		if n := len(podsByName(t, s)); n != 3 {
			t.Errorf("%d pods", n)
		}
		if n := count(s, " in place"); (mode == "") != (n == 0) {
			t.Errorf("mode %q: %d restarts in place", mode, n)
		}
	}
}
