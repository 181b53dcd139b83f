package override

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func template() *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{}
	t.Labels = map[string]string{"app": "web"}
	t.Spec.Containers = []corev1.Container{{Name: "db", Image: "db:1", Env: []corev1.EnvVar{{Name: "A", Value: "1"}}}}
	return t
}

// A range and an ordinal in it: both are applied, the ordinal's last; others
// have nothing to do with it.
func TestApply(t *testing.T) {
	s, err := Parse(map[string]string{
		"2":        `{"spec":{"nodeName":"big","containers":[{"name":"db","env":[{"name":"A","value":"3"}]}]}}`,
		"1-3.yaml": "metadata:\n  annotations: {zone: b}\nspec:\n  containers:\n  - name: db\n    env:\n    - {name: A, value: '2'}\n    - {name: B, value: x}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	original := template()
	for ordinal, want := range map[int][]string{0: {"A=1"}, 1: {"A=2", "B=x"}, 2: {"A=3", "B=x"}, 4: {"A=1"}} {
		got, err := s.Apply(original, ordinal)
		if err != nil {
			t.Fatal(err)
		}
		var env []string
		for _, e := range got.Spec.Containers[0].Env {
			env = append(env, e.Name+"="+e.Value)
		}
		if diff := cmp.Diff(want, env); diff != "" || got.Spec.Containers[0].Image != "db:1" || got.Annotations[HashAnnotation] != s.Hash(ordinal) {
			t.Errorf("ordinal %d: %v, -want +got\n%s", ordinal, got, diff)
		}
	}
	if diff := cmp.Diff(template(), original); diff != "" {
		t.Errorf("the template itself was changed: %s", diff)
	}
	if s.Hash(0) != "" || s.Hash(1) == "" || s.Hash(1) != s.Hash(3) || s.Hash(1) == s.Hash(2) {
		t.Errorf("hashes: %q %q %q %q", s.Hash(0), s.Hash(1), s.Hash(2), s.Hash(3))
	}
	same, err := Parse(map[string]string{"3": "spec: {}", "1-3": `{"spec":{"containers":[{"env":[{"value":"2","name":"A"},{"name":"B","value":"x"}],"name":"db"}]},"metadata":{"annotations":{"zone":"b"}}}`})
	if err != nil || same.Hash(1) != s.Hash(1) {
		t.Errorf("the same patch in other words has hash %q, want %q (%v)", same.Hash(1), s.Hash(1), err)
	}
}

func TestRefusals(t *testing.T) {
	selector := labels.SelectorFromSet(labels.Set{"app": "web"})
	for name, c := range map[string]struct{ key, text, want string }{
		"key":       {"web-1", "spec: {}", `web-1: the key must be an ordinal or a range of ordinals`},
		"backwards": {"5-3", "spec: {}", "5-3: the key must be"},
		"no patch":  {"1", "hello", "1: must be a patch of a pod template"},
		"empty":     {"1", "", "1: must be a patch of a pod template"},
		"no field":  {"1", "spec: {nodeNam: x}", `1: json: unknown field "nodeNam"`},
		"type":      {"1", "spec: {containers: {}}", "1: json: cannot unmarshal object"},
		"name":      {"1", "metadata: {name: x}", "1: metadata.name: only labels and annotations"},
		"selector":  {"1", "metadata: {labels: {app: other}}", "1: changes a label that the set selects its pods by"},
		"unlabel":   {"1", "metadata: {labels: {app: null}}", "1: changes a label that the set selects its pods by"},
		"replace":   {"1", "metadata: {labels: {berth.dev/replace: 'true'}}", "1: the label berth.dev/replace is for a single pod"},
		"good":      {"1", "spec: {containers: [{name: db, $patch: delete}, {name: other, image: x}]}", ""},
	} {
		s, err := Parse(map[string]string{c.key: c.text})
		if err == nil {
			err = s.Check(template(), selector)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
