package core

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestPodGracePeriod(t *testing.T) {
	k := podKind()
	for _, c := range []struct {
		name      string
		node      string
		phase     corev1.PodPhase
		own       *int64
		requested *int64
		want      int64
	}{
		{"the pod's own", "n", corev1.PodRunning, new(int64(10)), nil, 10},
		{"the request's", "n", corev1.PodRunning, new(int64(10)), new(int64(3)), 3},
		{"at once", "n", corev1.PodRunning, new(int64(10)), new(int64(0)), 0},
		{"negative", "n", corev1.PodRunning, new(int64(-5)), nil, 1},
		{"negative request", "n", corev1.PodRunning, new(int64(10)), new(int64(-1)), 1},
		{"not on a node", "", corev1.PodPending, new(int64(10)), new(int64(7)), 0},
		{"succeeded", "n", corev1.PodSucceeded, new(int64(10)), nil, 0},
		{"failed", "n", corev1.PodFailed, new(int64(10)), new(int64(7)), 0},
	} {
		p := &corev1.Pod{
			Spec:   corev1.PodSpec{NodeName: c.node, TerminationGracePeriodSeconds: c.own},
			Status: corev1.PodStatus{Phase: c.phase},
		}
		if got := k.DefaultGracePeriod(p, c.requested); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
