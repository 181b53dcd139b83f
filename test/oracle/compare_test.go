package oracle

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// asUpstream is what upstream would have to say for ours to be right.
func asUpstream(t *testing.T, s *State) *Answer {
	t.Helper()
	return Ours(t.Context(), s, plan.Upstream)
}

func compared(t *testing.T, s *State, upstream *Answer) []string {
	t.Helper()
	e, err := expect(s, upstream)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Compare(s, e, Ours(t.Context(), s, plan.Upstream))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// rewrite changes the objects that an answer writes.
func rewrite[T any](t *testing.T, a *Answer, verb, kind string, change func(*T)) {
	t.Helper()
	found := false
	for i, w := range a.Writes {
		if w.Verb != verb || w.Kind != kind {
			continue
		}
		obj := new(T)
		if err := json.Unmarshal(w.Object, obj); err != nil {
			t.Fatal(err)
		}
		change(obj)
		text, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		a.Writes[i].Object, found = text, true
	}
	if !found {
		t.Fatalf("there is no %s of a %s in %v", verb, kind, a.Writes)
	}
}

// rollout is an ordered set that has a pod to make, a claim, and a new template.
func rollout() *State {
	for n := uint64(0); ; n++ {
		s := Draw(9, n)
		s.Set.Spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement
		s.Set.Spec.Replicas = ptr.To(int32(2))
		s.Set.DeletionTimestamp, s.Set.Spec.Ordinals, s.Set.Status.Conditions = nil, nil, nil
		s.Set.Spec.MinReadySeconds = 0
		s.Pods, s.Claims, s.Revisions = nil, nil, nil
		s.Set.Status = appsv1.StatefulSetStatus{}
		if len(s.Set.Spec.VolumeClaimTemplates) == 1 {
			return s
		}
	}
}

func TestCompareSeesEachDifference(t *testing.T) {
	for name, falsify := range map[string]func(*Answer){
		"label": func(a *Answer) { rewrite(t, a, "create", podKind, func(p *corev1.Pod) { p.Labels["more"] = "" }) },
		"image": func(a *Answer) {
			rewrite(t, a, "create", podKind, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "x" })
		},
		"owner": func(a *Answer) {
			rewrite(t, a, "create", podKind, func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil })
		},
		"claim": func(a *Answer) {
			rewrite(t, a, "create", claimKind, func(c *corev1.PersistentVolumeClaim) { c.Labels = nil })
		},
		"revision": func(a *Answer) {
			rewrite(t, a, "create", revisionKind, func(r *appsv1.ControllerRevision) { r.Revision = 7 })
		},
		"status": func(a *Answer) { rewrite(t, a, "status", setKind, func(s *appsv1.StatefulSet) { s.Status.Replicas++ }) },
		"missing": func(a *Answer) {
			a.Writes = slices.DeleteFunc(a.Writes, func(w Write) bool { return w.Kind == podKind })
		},
		"more":  func(a *Answer) { a.Writes = append(a.Writes, Write{Verb: "delete", Kind: podKind, Name: "web-0"}) },
		"event": func(a *Answer) { a.Events = a.Events[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			s := rollout()
			upstream := asUpstream(t, s)
			if found := compared(t, s, upstream); len(found) > 0 {
				t.Fatalf("differs from itself: %v", found)
			}
			falsify(upstream)
			if found := compared(t, s, upstream); len(found) == 0 {
				t.Error("no difference is found")
			}
		})
	}
}

func TestCompareSeesOrder(t *testing.T) {
	s := rollout()
	answer := asUpstream(t, s)
	e, err := expect(s, answer)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence = append(e.Sequence, "create web-1")
	found, err := Compare(s, e, answer)
	if err != nil || len(found) != 1 || !strings.Contains(found[0], "in order") {
		t.Errorf("found %v, %v", found, err)
	}
}

// Writes that change nothing, or come too early, are found without upstream.
func TestCompareSeesUselessWrites(t *testing.T) {
	s := rollout()
	answer := asUpstream(t, s)
	e, err := expect(s, answer)
	if err != nil {
		t.Fatal(err)
	}
	again := *answer
	again.Writes = append(slices.Clone(answer.Writes), answer.Writes[len(answer.Writes)-1])
	again.Writes[len(again.Writes)-1].Verb = "update"
	early := *answer
	early.Writes = slices.Clone(answer.Writes)
	slices.SortStableFunc(early.Writes, func(a, b Write) int { return strings.Compare(b.Kind, a.Kind) }) // pods before claims
	for want, ours := range map[string]*Answer{"changes nothing": &again, "before its claim": &early} {
		found, err := Compare(s, e, ours)
		if err != nil || !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("found %v, %v; want %q", found, err, want)
		}
	}
}

// 1.37's rule for a Parallel rollout, by upstream's own table: all pods are of an
// old revision; U is not ready, T terminating, M within minReadySeconds.
func TestParallelRolloutOf137(t *testing.T) {
	for _, c := range []struct {
		replicas, partition, most int
		pods, remaining           string
	}{
		{1, 0, 1, "U", ""},
		{3, 0, 1, "..U", "0 1"},
		{5, 0, 2, "...UU", "0 1 2"},
		{3, 0, 1, "..T", "0 1 2"},
		{5, 0, 3, "...UT", "0 1 4"},
		{5, 0, 3, "...TU", "0 1 3"},
		{3, 0, 1, "..M", "0 1"},
		{5, 2, 1, "....U", "0 1 2 3"},
		{5, 2, 1, "..U..", "0 1 3 4"},
		{5, 2, 1, ".U...", "0 1 2 3 4"},
		{5, 3, 2, "...UU", "0 1 2"},
		{5, 3, 2, ".U..U", "0 1 2 3"},
		{4, 0, 2, "UU..", "2 3"},
		{5, 0, 3, "UU...", "2 3"},
	} {
		s := parallel(c.replicas, c.partition, c.most, c.pods)
		e := &Expectation{After: s.copy()}
		e.rollParallel(s)
		var left []string
		for i, pod := range e.After.Pods {
			if pod.DeletionTimestamp == nil || c.pods[i] == 'T' {
				left = append(left, pod.Name[len("web-"):])
			}
		}
		if got := strings.Join(left, " "); got != c.remaining {
			t.Errorf("%d replicas, partition %d, maxUnavailable %d, %s: %q remain, want %q", c.replicas, c.partition, c.most, c.pods, got, c.remaining)
		}
	}
}
