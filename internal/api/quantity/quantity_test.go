package quantity_test

import (
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/api/quantity"
)

func TestEndless(t *testing.T) {
	for text, want := range map[string]bool{
		"1e-2147483647": true, "1E+2147483646": true, " -5e99999 ": true, "1e-00000009999": true,
		"1" + strings.Repeat("0", 5000): true, "0." + strings.Repeat("0", 5000) + "1Gi": true,
		"1e3": false, "1E": false, "1Ei": false, "1e1000": false, "": false, "e": false, "1e99999999999999999999": false,
		"lots": false, strings.Repeat("x", 5000): false,
	} {
		if got := quantity.Endless(text); got != want {
			t.Errorf("Endless(%.20q) = %v", text, got)
		}
	}
}

var (
	pod  = reflect.TypeFor[corev1.Pod]()
	hpa  = reflect.TypeFor[autoscalingv2.HorizontalPodAutoscaler]()
	set  = reflect.TypeFor[appsv1.StatefulSet]()
	data = reflect.TypeFor[corev1.ConfigMap]()
)

func named(_, kind string) reflect.Type {
	return map[string]reflect.Type{"Pod": pod, "HorizontalPodAutoscaler": hpa, "StatefulSet": set}[kind]
}

const (
	asJSON  = "application/json"
	asYAML  = "application/yaml"
	asPatch = "application/json-patch+json"
)

func TestInBody(t *testing.T) {
	const where = "spec.containers[0].resources.limits.cpu: quantity"
	limits := func(value string) string {
		return `{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":` + value + `}}}]}}`
	}
	for _, c := range []struct {
		name, media, text string
		expected          reflect.Type
		want              string // "" when it may pass
	}{
		{"text", asJSON, limits(`"1e-2147483647"`), pod, where},
		{"number", asJSON, limits(`1e2147483646`), pod, where},
		{"escaped", asJSON, limits(`"\u0031e-2147483647"`), pod, where},
		{"escaped letter", asJSON, limits(`"1\u0065-2147483647"`), pod, where},
		{"said twice", asJSON, limits(`"1e-2147483647","cpu":"1"`), pod, where},
		{"long", asJSON, limits(`"1` + strings.Repeat("0", 3000) + `"`), pod, where},
		{"no media type", "", limits(`"1e-2147483647"`), pod, where},
		{"sound", asJSON, limits(`"1e3"`), pod, ""},
		{"digest in a label", asJSON, `{"metadata":{"labels":{"commit":"1e45678"},"name":"1e45678"},"spec":{"nodeName":"1e99999"}}`, pod, ""},
		{"kind without quantities", asJSON, `{"data":{"cpu":"1e-2147483647"}}`, data, ""},
		{"another kind than expected", asJSON, `{"kind":"Pod",` + limits(`"1e-2147483647"`)[1:], data, where},
		{"cut short", asJSON, `{"spec":{"containers":[{"x":1e-99999,`, pod, ""},
		{"pointer", asJSON, `{"spec":{"volumes":[{"emptyDir":{"sizeLimit":"1e-99999"}}]}}`, pod, "spec.volumes[0].emptyDir.sizeLimit: quantity"},
		{"metric", asJSON, `{"spec":{"metrics":[{"resource":{"target":{"averageValue":"1e-99999"}}}]}}`, hpa, "spec.metrics[0].resource.target.averageValue: quantity"},
		{"template", asJSON, `{"spec":{"volumeClaimTemplates":[{"spec":{"resources":{"requests":{"storage":"1e-99999"}}}}]}}`, set, "spec.volumeClaimTemplates[0].spec.resources.requests.storage: quantity"},
		{"YAML", asYAML, "spec:\n  containers:\n  - resources: {limits: {cpu: '1e-2147483647'}}\n", pod, where},
		{"YAML escaped", asYAML, "spec:\n  containers:\n  - resources: {limits: {cpu: \"\\x31e-2147483647\"}}\n", pod, where},
		{"YAML folded", asYAML, "spec:\n  containers:\n  - resources: {limits: {cpu: \"1e-\\\n      2147483647\"}}\n", pod, where},
		{"YAML in base64", asYAML, "spec:\n  containers:\n  - resources: {limits: {cpu: !!binary MWUtMjE0NzQ4MzY0Nw==}}\n", pod, where},
		{"applied", "application/apply-patch+yaml", limits(`"1e-2147483647"`), pod, where},
		{"merged", "application/strategic-merge-patch+json", limits(`"1e-2147483647"`), pod, where},
		{"patched", asPatch, `[{"op":"add","path":"/spec/containers/0/resources/limits/cpu","value":"1e-2147483647"}]`, pod, "spec.containers.0.resources.limits.cpu: quantity"},
		{"patched with a list", asPatch, `[{"op":"replace","path":"/spec/containers","value":[{"resources":{"limits":{"cpu":"1e-2147483647"}}}]}]`, pod, where},
		{"patched a label", asPatch, `[{"op":"add","path":"/metadata/labels/commit","value":"1e45678"}]`, pod, ""},
		{"copied from a label", asPatch, `[{"op":"copy","from":"/metadata/labels/x","path":"/spec/containers/0/resources/limits/cpu"}]`, pod, "of another type"},
		{"copied from nowhere", asPatch, `[{"op":"move","from":"/x","path":"/spec/containers/0/resources/limits"}]`, pod, "of another type"},
		{"copied", asPatch, `[{"op":"copy","from":"/spec/containers/0/resources/limits","path":"/spec/containers/0/resources/requests"}]`, pod, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := quantity.InBody(c.media, []byte(c.text), c.expected, named)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// message is a field of a message in protobuf.
func message(number byte, content string) string {
	if len(content) > 127 {
		panic("too long for this test")
	}
	return string([]byte{number<<3 | 2, byte(len(content))}) + content
}

func TestInProtobuf(t *testing.T) {
	entry := message(1, "cpu") + message(2, message(1, "1e-2147483647"))
	sound := message(1, message(1, "1e-99999")) // a pod of that name
	limits := message(2, message(2, message(8, message(1, entry))))
	body := func(pod string) []byte {
		return []byte("k8s\x00" + message(1, message(1, "v1")+message(2, "Pod")) + message(2, pod))
	}
	err := quantity.InBody("application/vnd.kubernetes.protobuf", body(limits), data, named)
	if err == nil || !strings.Contains(err.Error(), "spec.containers.resources.limits") {
		t.Errorf("got %v", err)
	}
	if err := quantity.InBody("application/vnd.kubernetes.protobuf", body(sound), pod, named); err != nil {
		t.Errorf("a name is taken for a quantity: %v", err)
	}
	for i := range body(limits) { // no piece of it breaks the search
		_ = quantity.InBody("application/vnd.kubernetes.protobuf", body(limits)[:i], pod, named)
	}
}
