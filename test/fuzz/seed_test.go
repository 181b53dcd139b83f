package fuzz

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"berth.dev/berth/internal/api"
)

// manifest is an object as clients send it.
type manifest map[string]any

func (m manifest) gvk() schema.GroupVersionKind {
	version, _ := m["apiVersion"].(string)
	kind, _ := m["kind"].(string)
	return schema.FromAPIVersionAndKind(version, kind)
}

// seeds are valid objects of each kind. Kinds without one are filled at random only.
func seeds(t testing.TB) map[schema.GroupVersionKind][]manifest {
	t.Helper()
	files, err := filepath.Glob("testdata/seeds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds: %v", err)
	}
	out := map[schema.GroupVersionKind][]manifest{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
			var m manifest
			if err := d.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			out[m.gvk()] = append(out[m.gvk()], m)
		}
	}
	return out
}

// kinds are the served kinds by name.
func kinds() map[schema.GroupVersionKind]api.Kind {
	out := map[schema.GroupVersionKind]api.Kind{}
	for _, k := range api.Kinds() {
		out[k.GVK] = k
	}
	return out
}
