package shutdown_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/shutdown"
)

func pods(priorities ...int32) (out []*corev1.Pod) {
	for _, p := range priorities {
		out = append(out, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(p)}, Spec: corev1.PodSpec{Priority: &p}})
	}
	return out
}

func TestGroups(t *testing.T) {
	byPriority := []shutdown.Period{{100000, 10}, {10000, 180}, {1000, 120}, {0, 60}}
	for name, c := range map[string]struct {
		periods []shutdown.Period
		pods    []*corev1.Pod
		want    string
	}{
		"none":            {nil, pods(1, 2), ""},
		"two groups":      {shutdown.Split(30*time.Second, 10*time.Second), pods(2_000_000_000, 0, 5, 1_999_999_999, 2_000_001_000), "20s: 0 5 1999999999; 10s: 2000000000 2000001000"},
		"nobody waits":    {shutdown.Split(30*time.Second, 10*time.Second), pods(2_000_001_000), "10s: 2000001000"},
		"by priority":     {byPriority, pods(100000, 99999, 10000, 1000, 999, 0, 500000), "60s: 999 0; 120s: 1000; 180s: 99999 10000; 10s: 100000 500000"},
		"below the least": {byPriority, pods(-5), "60s: -5"},
	} {
		var got []string
		for _, g := range shutdown.Groups(c.periods, c.pods) {
			var names []string
			for _, p := range g.Pods {
				names = append(names, p.Name)
			}
			got = append(got, fmt.Sprintf("%ds: %s", g.Seconds, strings.Join(names, " ")))
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
	if shutdown.Total(byPriority) != 370*time.Second || shutdown.Split(time.Second, time.Minute) != nil || shutdown.Split(0, 0) != nil {
		t.Error("periods")
	}
}

func TestKill(t *testing.T) {
	g := shutdown.Group{Period: shutdown.Period{Seconds: 20}}
	pod := pods(0)[0]
	if k := g.Kill(pod); *k.Grace != 20 || k.Phase != corev1.PodFailed || k.Reason != "Terminated" || k.Condition.Reason != "TerminationByKubelet" ||
		k.Message != "Pod was terminated in response to imminent node shutdown." || k.Condition.Type != corev1.DisruptionTarget {
		t.Errorf("%+v", k)
	}
	for own, want := range map[int64]int64{5: 5, 100: 20} {
		pod.Spec.TerminationGracePeriodSeconds = &own
		if k := g.Kill(pod); *k.Grace != want {
			t.Errorf("%d s of its own: %d s", own, *k.Grace)
		}
	}
}
