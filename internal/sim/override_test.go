package sim_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

// The override of one ordinal reaches that pod alone, a wrong one reaches nobody,
// and what goes away is taken back.
func TestOverrides(t *testing.T) {
	s := newSim(14, sim.Faults{Stale: 0.5})
	set := web(3)
	set.Annotations = map[string]string{options.Overrides: "own"}
	s.Create(set)
	settled(t, s)
	if names := podNames(t, s); len(names) > 0 {
		t.Fatalf("pods were made without the ConfigMap that they are made from: %v", names)
	}
	write := func(data map[string]string) {
		own := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "own"}}
		_ = s.API().Delete(t.Context(), own.DeepCopy())
		own.Data = data
		s.Create(own)
		settled(t, s)
	}
	held := func() string {
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(set.Status.Conditions, func(c appsv1.StatefulSetCondition) bool { return c.Type == "Held" })
		if i < 0 {
			return ""
		}
		return set.Status.Conditions[i].Message
	}
	write(nil)
	before := podsByName(t, s)
	for _, step := range []struct {
		name    string
		data    map[string]string
		changed []string
		held    string
	}{
		{"one ordinal", map[string]string{"1": "metadata: {labels: {zone: b}}"}, []string{"web-1"}, ""},
		{"a wrong one", map[string]string{"2": "spec: {nodeNam: x}"}, nil, `ConfigMap own: 2: json: unknown field "nodeNam"`},
		{"a range beside it", map[string]string{"1": "metadata: {labels: {zone: b}}", "2-9.yaml": "spec: {priorityClassName: high}"}, []string{"web-2"}, ""},
		{"nothing", nil, []string{"web-1", "web-2"}, ""},
	} {
		write(step.data)
		now := podsByName(t, s)
		var changed []string
		for name, pod := range now {
			if before[name] == nil || before[name].UID != pod.UID {
				changed = append(changed, name)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, step.changed) {
			t.Errorf("%s: %v were made anew, want %v", step.name, changed, step.changed)
		}
		if got := held(); !strings.Contains(got, step.held) || step.held == "" && got != "" {
			t.Errorf("%s: held by %q, want %q", step.name, got, step.held)
		}
		if want := step.data["1"] != ""; step.held == "" && (now["web-1"].Labels["zone"] == "b") != want {
			t.Errorf("%s: web-1 has zone %q", step.name, now["web-1"].Labels["zone"])
		}
		before = now
	}
}
