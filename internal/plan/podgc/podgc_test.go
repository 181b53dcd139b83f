package podgc

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func ended(name string, age time.Duration, reason string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.CreationTimestamp = metav1.NewTime(time.Unix(1_000_000, 0).Add(-age))
	p.Status.Phase, p.Status.Reason = corev1.PodFailed, reason
	return p
}

func names(pods []*corev1.Pod) []string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Name)
	}
	return all
}

func TestSurplus(t *testing.T) {
	pods := []*corev1.Pod{
		ended("new", time.Second, ""), ended("old", time.Hour, ""), ended("b", time.Minute, ""), ended("a", time.Minute, ""),
		ended("evicted", 0, "Evicted"),
	}
	order := []string{"evicted", "old", "a", "b"}
	for keep, want := range map[int][]string{0: nil, -1: nil, 5: nil, 6: nil, 4: order[:1], 1: order[:4], 2: order[:3]} {
		if got := names(Surplus(pods, keep)); !slices.Equal(got, want) {
			t.Errorf("of 5 keep %d: %v go, want %v", keep, got, want)
		}
	}
	pods[4].Status.Phase = corev1.PodSucceeded // it has done its work all the same
	if got := names(Surplus(pods, 4)); !slices.Equal(got, []string{"old"}) {
		t.Errorf("%v goes", got)
	}
}

// What goes is as much as is too much, and does not depend on the order in
// which the cache lists it, which stays as it is.
func TestSurplusOfAnyPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "pods")
		var pods []*corev1.Pod
		for i := range n {
			pods = append(pods, ended(string(rune('a'+i)), time.Duration(rapid.IntRange(0, 3).Draw(t, "age"))*time.Second,
				rapid.SampledFrom([]string{"", "Evicted"}).Draw(t, "reason")))
		}
		keep := rapid.IntRange(-1, 13).Draw(t, "keep")
		before := slices.Clone(pods)
		gone := Surplus(pods, keep)
		if !slices.Equal(before, pods) {
			t.Fatal("the cache's list was reordered")
		}
		if want := n - keep; keep > 0 && len(gone) != max(want, 0) || keep <= 0 && len(gone) > 0 {
			t.Fatalf("%d of %d go, keep %d", len(gone), n, keep)
		}
		slices.Reverse(pods)
		if again := Surplus(pods, keep); !slices.Equal(names(again), names(gone)) {
			t.Fatalf("%v or %v", names(again), names(gone))
		}
		for _, p := range gone {
			for _, q := range pods {
				if !slices.Contains(gone, q) && evicted(q) == evicted(p) && q.CreationTimestamp.Before(&p.CreationTimestamp) {
					t.Fatalf("%s goes and the older %s stays", p.Name, q.Name)
				}
			}
		}
	})
}
