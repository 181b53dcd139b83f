package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestNewPod(t *testing.T) {
	k, obj := decodeCase(t, map[string]any{
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
	k.PrepareCreate(t.Context(), p)
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
