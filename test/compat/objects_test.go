package compat

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// examples are the first and the second example of a resource.
func examples(t *testing.T, r resource) (first, second *unstructured.Unstructured) {
	t.Helper()
	group := ""
	if r.Group != "" {
		group = "." + r.Group
	}
	var text []byte
	var err error
	for _, name := range []string{r.Resource + "." + r.Version + group, r.Resource + group} {
		if text, err = os.ReadFile("testdata/objects/" + name + ".yaml"); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		t.Fatalf("%s is served, but there is no example of it: %v", r, err)
	}
	var objects []*unstructured.Unstructured
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		must(t, yaml.UnmarshalStrict(document, &o.Object))
		if o.GetKind() != r.kind {
			t.Fatalf("the example of %s is a %s", r, o.GetKind())
		}
		o.SetAPIVersion(r.GroupVersion().String())
		if r.namespaced {
			o.SetNamespace(namespace)
		}
		objects = append(objects, o)
	}
	if len(objects) == 1 {
		other := objects[0].DeepCopy()
		other.SetName(other.GetName() + "-2")
		objects = append(objects, other)
	}
	return objects[0], objects[1]
}

// customKind makes a kind with all that a custom one can have.
func (s *server) customKind(t *testing.T) resource {
	t.Helper()
	text, err := os.ReadFile("testdata/unicorn.yaml")
	must(t, err)
	crd := &unstructured.Unstructured{}
	must(t, yaml.UnmarshalStrict(text, &crd.Object))
	crds := s.dynamic.Resource(crd.GroupVersionKind().GroupVersion().WithResource("customresourcedefinitions"))
	_, err = crds.Create(t.Context(), crd, metav1.CreateOptions{})
	must(t, err)
	for _, r := range eventually(t, "the custom kind to be served", func() []resource {
		for _, r := range s.served(t) {
			if r.Group == "compat.example.com" {
				return []resource{r}
			}
		}
		return nil
	}) {
		return r
	}
	return resource{}
}
