package admission_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const kata = `{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: kata}, handler: kata, overhead: {podFixed: {cpu: 250m}}, scheduling: {
	nodeSelector: {kata: "true", disk: fast}, tolerations: [{key: kata, operator: Exists}, {key: slow, operator: Equal, value: "1", effect: NoSchedule}]}}`

// classed is a pod of the class kata, or of what spec says.
func classed(name, spec string) string {
	return strings.Replace(podNamed(name), "spec: {", "spec: {"+spec+", ", 1)
}

func TestRuntimeClass(t *testing.T) {
	s := start(t)
	_, err := s.create(classed("p", "runtimeClassName: kata"))
	refused(t, err, `pods "p" is forbidden: pod rejected: RuntimeClass "kata" not found`)
	_, err = s.create(classed("p", "overhead: {cpu: 1m}"))
	refused(t, err, `pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead`)

	s.apply(kata)
	s.apply(`{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: plain}, handler: runc}`)
	s.apply(classed("p", `runtimeClassName: kata, nodeSelector: {zone: a, disk: fast}, tolerations: [
		{key: kata, operator: Exists, effect: NoSchedule}, {key: slow, operator: Exists, effect: NoSchedule}, {key: own, operator: Exists}]`))
	spec := s.pod("p").Spec
	got := corev1.PodSpec{Overhead: spec.Overhead, NodeSelector: spec.NodeSelector, Tolerations: spec.Tolerations}
	want := corev1.PodSpec{
		Overhead:     corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
		NodeSelector: map[string]string{"kata": "true", "disk": "fast", "zone": "a"},
		Tolerations: []corev1.Toleration{
			{Key: "slow", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
			{Key: "own", Operator: corev1.TolerationOpExists},
			{Key: "kata", Operator: corev1.TolerationOpExists},
		},
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		want.Tolerations = append(want.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(300)),
		})
	}
	byKey := func(list []corev1.Toleration) map[string]corev1.Toleration {
		out := map[string]corev1.Toleration{}
		for _, t := range list {
			out[t.Key] = t
		}
		return out
	}
	if d := cmp.Diff(byKey(want.Tolerations), byKey(got.Tolerations)); d != "" || len(want.Tolerations) != len(got.Tolerations) {
		t.Error(d)
	}
	got.Tolerations, want.Tolerations = nil, nil
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	for spec, want := range map[string]string{
		"runtimeClassName: kata, overhead: {cpu: 1m}":         "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
		"runtimeClassName: plain, overhead: {cpu: 1m}":        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
		"runtimeClassName: kata, nodeSelector: {disk: slow}":  "conflict: runtimeClass.scheduling.nodeSelector[disk] = fast; pod.spec.nodeSelector[disk] = slow",
		"runtimeClassName: plain, nodeSelector: {disk: slow}": "",
		"runtimeClassName: kata, overhead: {cpu: 0.25}":       "",
	} {
		_, err := s.dryRun(classed("q", spec))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", spec, err)
			}
			continue
		}
		refused(t, err, `pods "q" is forbidden: `+want)
	}
}

func TestDefaultIngressClass(t *testing.T) {
	s := start(t)
	ingress := `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: NAME}, spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}}`
	named := func(name string) string { return strings.Replace(ingress, "NAME", name, 1) }
	class := func(name string) string {
		s.t.Helper()
		made := s.apply(named(name)).Object["spec"].(map[string]any)["ingressClassName"]
		if made == nil {
			return ""
		}
		return made.(string)
	}
	if got := class("before"); got != "" {
		t.Errorf("without a class: %q", got)
	}
	s.apply(`{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: other}, spec: {controller: example.com/o}}`)
	if got := class("no-default"); got != "" {
		t.Errorf("without a default: %q", got)
	}
	s.apply(`{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: main, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: example.com/m}}`)
	until(t, "the default class is known", func() bool {
		made, err := s.dryRun(named("dry"))
		return err == nil && made.Object["spec"].(map[string]any)["ingressClassName"] == "main"
	})
	if got := class("of-default"); got != "main" {
		t.Errorf("of the default: %q", got)
	}
	old := s.apply(strings.Replace(named("old"), "name: old", `name: old, annotations: {kubernetes.io/ingress.class: legacy}`, 1))
	if got := old.Object["spec"].(map[string]any)["ingressClassName"]; got != nil {
		t.Errorf("with an annotation: %v", got)
	}
}
