package api

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

func TestNewPod(t *testing.T) {
	_, obj := decodeCase(t, map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a", "labels": map[string]any{"app": "x"}},
		"spec": map[string]any{
			"containers":      []any{map[string]any{"name": "a", "image": "a", "resources": map[string]any{"limits": map[string]any{"cpu": "1", "memory": "1Gi"}}}},
			"schedulingGates": []any{map[string]any{"name": "wait"}},
			"affinity": map[string]any{"podAntiAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": []any{
				map[string]any{"topologyKey": "zone", "labelSelector": map[string]any{}, "matchLabelKeys": []any{"app"}},
			}}},
		},
		"status": map[string]any{"phase": "Running"},
	})
	p := obj.(*corev1.Pod)
	podKind().PrepareCreate(t.Context(), p)
	if p.Status.Phase != corev1.PodPending || p.Status.QOSClass != corev1.PodQOSGuaranteed {
		t.Errorf("got phase %s and class %s", p.Status.Phase, p.Status.QOSClass)
	}
	if len(p.Status.Conditions) != 1 || p.Status.Conditions[0].Reason != corev1.PodReasonSchedulingGated {
		t.Errorf("got conditions %v", p.Status.Conditions)
	}
	e := p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchExpressions
	if len(e) != 1 || e[0].Key != "app" || e[0].Values[0] != "x" {
		t.Errorf("got %v", e)
	}
}
