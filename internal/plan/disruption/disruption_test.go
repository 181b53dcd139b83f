package disruption

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// budget is written "min 2", "min 50%", "max 1" or "max 30%".
func budget(text string) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "guard", Generation: 3}}
	kind, value, _ := strings.Cut(text, " ")
	n := intstr.Parse(value)
	if kind == "min" {
		b.Spec.MinAvailable = &n
	} else {
		b.Spec.MaxUnavailable = &n
	}
	return b
}

// pod is written "NAME[=OWNER] [ready] [ending]"; it is an hour old.
func pod(text string) *corev1.Pod {
	words := strings.Fields(text)
	name, owner, _ := strings.Cut(words[0], "=")
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true)}}
	}
	for _, word := range words[1:] {
		switch word {
		case "ready":
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		case "ending":
			p.DeletionTimestamp = &metav1.Time{Time: now}
		default:
			panic(text)
		}
	}
	return p
}

func state(b string, pods ...string) State {
	s := State{Budget: budget(b), Now: now, Scales: map[types.UID]Scale{"web": {"web", 4}, "db": {"db", 3}, "old": {"deploy", 6}, "new": {"deploy", 6}}}
	for _, p := range pods {
		s.Pods = append(s.Pods, pod(p))
	}
	return s
}

func TestDecide(t *testing.T) {
	ready4 := []string{"a=web ready", "b=web ready", "c=web ready", "d=web ready"}
	for name, c := range map[string]struct {
		state State
		want  string // healthy/expected, desired, allowed
	}{
		"min":                        {state("min 2", ready4...), "4/4 wants 2 allows 2"},
		"min of pods without owner":  {state("min 1", "a ready", "b ready"), "2/2 wants 1 allows 1"},
		"min not reached":            {state("min 5", ready4...), "4/4 wants 5 allows 0"},
		"min in percent is rounded":  {state("min 51%", ready4...), "4/4 wants 3 allows 1"},
		"max":                        {state("max 1", ready4...), "4/4 wants 3 allows 1"},
		"max in percent is rounded":  {state("max 30%", ready4...), "4/4 wants 2 allows 2"},
		"max above all":              {state("max 9", ready4...), "4/4 wants 0 allows 4"},
		"max of what is wanted":      {state("max 1", ready4[:3]...), "3/4 wants 3 allows 0"},
		"one is ending":              {state("min 2", append([]string{"e=web ready ending"}, ready4...)...), "4/5 wants 2 allows 2"},
		"one is not ready":           {state("min 2", "a=web", "b=web ready", "c=web ready"), "2/3 wants 2 allows 0"},
		"two sets":                   {state("max 2", "a=web ready", "b=db ready"), "2/7 wants 5 allows 0"},
		"two of one deployment":      {state("max 2", "a=old ready", "b=new ready"), "2/6 wants 4 allows 0"},
		"no pods":                    {state("min 0"), "0/0 wants 0 allows 0"},
		"no pods in percent":         {state("max 50%"), "0/0 wants 0 allows 0"},
		"percent of unmanaged alone": {state("max 50%", "a ready"), "1/0 wants 0 allows 0 unmanaged [a]"},
		"gone controller":            {state("max 1", "a=gone ready"), `found no controllers for pod "a"`},
		"neither":                    {State{Budget: &policyv1.PodDisruptionBudget{}, Now: now}, "0/0 wants 0 allows 0"},
	} {
		p, err := Decide(c.state)
		st := p.Status
		got := fmt.Sprintf("%d/%d wants %d allows %d", st.CurrentHealthy, st.ExpectedPods, st.DesiredHealthy, st.DisruptionsAllowed)
		if len(p.Unmanaged) > 0 {
			got += fmt.Sprintf(" unmanaged %v", p.Unmanaged)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestControllers(t *testing.T) {
	s := state("max 1", "a=web", "b=web", "c", "d=db")
	var got []string
	for _, ref := range Controllers(s.Budget, s.Pods) {
		got = append(got, ref.Name)
	}
	if diff := cmp.Diff([]string{"web", "db"}, got); diff != "" {
		t.Error(diff)
	}
	if all := Controllers(budget("min 1"), s.Pods); all != nil {
		t.Errorf("a number of pods is no share: %v", all)
	}
}

// What was evicted does not count until it is seen ending, gone, replaced, or
// until it has had its time.
func TestDisruptedPods(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*State)
		healthy int32
		again   time.Duration
		late    int
	}{
		"still there":                      {func(*State) {}, 1, time.Minute + 1, 0},
		"ending":                           {func(s *State) { s.Pods[0].DeletionTimestamp = &metav1.Time{} }, 1, 0, 0},
		"gone":                             {func(s *State) { s.Pods = s.Pods[1:] }, 1, 0, 0},
		"replaced":                         {func(s *State) { s.Pods[0].CreationTimestamp.Time = now }, 2, 0, 0},
		"replaced in the same second":      {func(s *State) { s.Pods[0].CreationTimestamp.Time = now.Add(-time.Minute); s.Before["a"] = "x" }, 2, 0, 0},
		"another one, but older than that": {func(s *State) { s.Before["a"] = "x" }, 1, time.Minute + 1, 0},
		"made and evicted in one second":   {func(s *State) { s.Pods[0].CreationTimestamp.Time = now.Add(-time.Minute); s.Before["a"] = "a" }, 1, time.Minute + 1, 0},
		"at the last moment":               {func(s *State) { s.Now = now.Add(time.Minute) }, 1, 1, 0},
		"not deleted":                      {func(s *State) { s.Now = now.Add(time.Minute + 1) }, 2, 0, 1},
	} {
		s := state("min 1", "a=web ready", "b=web ready")
		s.Before = map[string]types.UID{}
		s.Budget.Status.DisruptedPods = map[string]metav1.Time{"a": metav1.NewTime(now.Add(-time.Minute)), "nobody": metav1.NewTime(now)}
		c.change(&s)
		p, err := Decide(s)
		if err != nil || p.Status.CurrentHealthy != c.healthy || p.Again != c.again || len(p.NotDeleted) != c.late {
			t.Errorf("%s: %d healthy, again in %s, %d not deleted, %v", name, p.Status.CurrentHealthy, p.Again, len(p.NotDeleted), err)
		}
		if _, kept := p.Status.DisruptedPods["a"]; kept != (c.again > 0) || len(p.Status.DisruptedPods) > 1 {
			t.Errorf("%s: %v", name, p.Status.DisruptedPods)
		}
	}
}

func TestCondition(t *testing.T) {
	s := state("min 1", "a=web ready", "b=web ready")
	told := func(p Plan) string {
		c := p.Status.Conditions[0]
		return fmt.Sprint(c.Type, " ", c.Status, " ", c.Reason, " ", c.ObservedGeneration, " ", c.LastTransitionTime.UTC().Format("15:04:05"), " ", c.Message)
	}
	p, _ := Decide(s)
	if got, want := told(p), "DisruptionAllowed True SufficientPods 3 12:00:00 "; got != want || !p.Changed {
		t.Errorf("%s, changed %t", got, p.Changed)
	}
	s.Budget.Status = p.Status
	s.Now = now.Add(time.Minute)
	if p, _ = Decide(s); p.Changed {
		t.Errorf("%v is no change", p.Status)
	}
	failed, changed := Failed(s.Budget, fmt.Errorf("no such kind"), s.Now)
	if got, want := told(Plan{Status: failed}), "DisruptionAllowed False SyncFailed 3 12:01:00 no such kind"; got != want || !changed || failed.DisruptionsAllowed != 0 {
		t.Errorf("%s, allows %d", got, failed.DisruptionsAllowed)
	}
	s.Budget.Status = failed
	if _, again := Failed(s.Budget, fmt.Errorf("no such kind"), now.Add(time.Hour)); again {
		t.Error("the same failure is written again")
	}
	if p, _ = Decide(s); told(p) != "DisruptionAllowed True SufficientPods 3 12:01:00 " || !p.Changed {
		t.Errorf("after the failure: %s", told(p))
	}
	s.Budget.Status = p.Status
	s.Pods = s.Pods[:1]
	if p, _ = Decide(s); told(p) != "DisruptionAllowed False InsufficientPods 3 12:01:00 " || !p.Changed {
		t.Errorf("with one pod: %s", told(p))
	}
}

func TestStale(t *testing.T) {
	target := func(change func(*corev1.Pod)) *corev1.Pod {
		p := pod("a")
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", LastTransitionTime: metav1.NewTime(now.Add(-time.Minute)),
		}}
		change(p)
		return p
	}
	for name, c := range map[string]struct {
		pod      *corev1.Pod
		targeted bool
		left     time.Duration
	}{
		"waiting":       {target(func(*corev1.Pod) {}), true, time.Minute},
		"left alone":    {target(func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime.Time = now.Add(-time.Hour) }), true, 0},
		"ending":        {target(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), false, 0},
		"has ended":     {target(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), false, 0},
		"by its node":   {target(func(p *corev1.Pod) { p.Status.Conditions[0].Reason = corev1.PodReasonTerminationByKubelet }), false, 0},
		"not a target":  {target(func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }), false, 0},
		"never was one": {pod("a ready"), false, 0},
	} {
		if targeted, left := Stale(c.pod, now); targeted != c.targeted || left != c.left {
			t.Errorf("%s: %t, %s", name, targeted, left)
		}
	}
}

// Whatever there is: when as many pods go as are allowed, as many healthy ones
// as are desired stay, and a second look at the same things changes nothing.
func TestNeverBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "n")
		s := state(rapid.SampledFrom([]string{"min ", "max "}).Draw(t, "kind") + fmt.Sprint(n) + rapid.SampledFrom([]string{"", "0%"}).Draw(t, "percent"))
		for i := range rapid.IntRange(0, 6).Draw(t, "pods") {
			owner := rapid.SampledFrom([]string{"", "=web", "=db", "=old", "=new"}).Draw(t, "owner")
			s.Pods = append(s.Pods, pod(fmt.Sprint("p", i, owner, rapid.SampledFrom([]string{"", " ready", " ready", " ready ending"}).Draw(t, "health"))))
			if rapid.IntRange(0, 3).Draw(t, "evicted") == 0 {
				at := now.Add(-time.Duration(rapid.IntRange(0, 200).Draw(t, "ago")) * time.Second)
				s.Budget.Status.DisruptedPods = map[string]metav1.Time{fmt.Sprint("p", i): metav1.NewTime(at)}
			}
		}
		p, err := Decide(s)
		if err != nil {
			t.Fatal(err)
		}
		st := p.Status
		if st.DisruptionsAllowed < 0 || st.DisruptionsAllowed > 0 && st.CurrentHealthy-st.DisruptionsAllowed < st.DesiredHealthy {
			t.Fatalf("%d of %d healthy may go, %d are wanted", st.DisruptionsAllowed, st.CurrentHealthy, st.DesiredHealthy)
		}
		s.Budget.Status = st
		if again, err := Decide(s); err != nil || again.Changed {
			t.Fatalf("the same again: %v became %v, %v", st, again.Status, err)
		}
	})
}
