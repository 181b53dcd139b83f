package preview

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                []Diff
	}{
		{
			"what the server keeps does not count", `{metadata: {uid: a, resourceVersion: "1", generation: 1, annotations: {kubectl.kubernetes.io/last-applied-configuration: x}}, status: {replicas: 1}}`,
			`{metadata: {uid: a, resourceVersion: "2", generation: 2}, status: {replicas: 2}}`, nil,
		},
		{"a value", `{spec: {replicas: 1}}`, `{spec: {replicas: 2}}`, []Diff{{"spec.replicas", "1", "2"}}},
		{
			"a key comes and goes", `{metadata: {annotations: {a: x}}}`, `{metadata: {annotations: {example.com/b: ""}}}`,
			[]Diff{{"metadata.annotations.a", "x", ""}, {"metadata.annotations[example.com/b]", "", `""`}},
		},
		{
			"lists by name", `{c: [{name: a, image: x}, {name: b, image: w}]}`, `{c: [{name: b, image: z}, {name: a, image: x}, {name: d}]}`,
			[]Diff{{"c[b].image", "w", "z"}, {"c[d]", "", `{"name":"d"}`}},
		},
		{"claim templates by name", `{v: [{metadata: {name: www}, spec: {size: 1}}]}`, `{v: [{metadata: {name: www}, spec: {size: 2}}]}`, []Diff{{"v[www].spec.size", "1", "2"}}},
		{"lists of one length", `{args: [a, b]}`, `{args: [a, c]}`, []Diff{{"args[1]", "b", "c"}}},
		{"lists of two lengths", `{args: [a]}`, `{args: [a, c]}`, []Diff{{"args", `["a"]`, `["a","c"]`}}},
		{"secrets are not shown", `{kind: Secret, data: {k: YQ==}}`, `{kind: Secret, data: {k: Yg==}}`, []Diff{{"data.k", "(not shown)", "(not shown)"}}},
	} {
		if diff := cmp.Diff(c.want, Fields(object(t, c.before), object(t, c.after))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
