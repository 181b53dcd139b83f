package fuzz

import (
	"math/rand"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/util"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/fields"
	generated "berth.dev/berth/internal/openapi"
)

// TestManagedFields writes random objects of each kind over one another and
// compares who manages what with what the library's own converter, which checks
// each object first, comes to.
func TestManagedFields(t *testing.T) {
	external := runtime.NewScheme()
	for _, k := range api.Kinds() {
		external.AddKnownTypeWithName(k.GVK, k.New())
	}
	config := genericapiserver.DefaultOpenAPIV3Config(generated.GetOpenAPIDefinitions, openapi.NewDefinitionNamer(external))
	var names []string
	for _, k := range api.Kinds() {
		names = append(names, util.GetCanonicalTypeName(k.New()))
	}
	definitions, err := builder3.BuildOpenAPIDefinitionsForResources(config, names...)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := managedfields.NewTypeConverter(definitions, false)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := fields.Converter(definitions)
	if err != nil {
		t.Fatal(err)
	}
	src := rand.NewSource(1)
	f, r, compared := filler(src), rand.New(src), 0
	for _, k := range api.Kinds() {
		manage := func(c managedfields.TypeConverter) *managedfields.FieldManager {
			m, err := managedfields.NewDefaultFieldManager(c, api.Scheme, api.Scheme, api.Scheme, k.GVK, k.GVK.GroupVersion(), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		want, got := manage(theirs), manage(ours)
		for range 20 {
			first, second := fill(f, r, k), fill(f, r, k)
			first, err := want.Update(k.New(), first, "first")
			if err != nil {
				continue // no such object is stored
			}
			switch r.Intn(3) { // most of what is written has not changed
			case 0:
				second = first.DeepCopyObject()
				second.(metav1.Object).SetLabels(map[string]string{"a": "b"})
			case 1:
				second = mix(r, first, second)
			}
			w, err := want.Update(first.DeepCopyObject(), second.DeepCopyObject(), "second")
			g, gerr := got.Update(first.DeepCopyObject(), second.DeepCopyObject(), "second")
			if err != nil {
				continue
			}
			if gerr != nil {
				t.Fatalf("%s: %v", k.GVK, gerr)
			}
			if d := cmp.Diff(managers(w), managers(g)); d != "" {
				t.Fatalf("%s: %s", k.GVK, d)
			}
			compared++
		}
	}
	if compared < 5*len(api.Kinds()) {
		t.Errorf("only %d updates could be compared", compared)
	}
}

// managers are the managed fields without times.
func managers(o runtime.Object) []metav1.ManagedFieldsEntry {
	entries := o.(metav1.Object).GetManagedFields()
	for i := range entries {
		entries[i].Time = nil
	}
	return entries
}

// mix is the first object with some parts of the second, at any depth.
func mix(r *rand.Rand, first, second runtime.Object) runtime.Object {
	out := first.DeepCopyObject()
	take(r, reflect.ValueOf(out).Elem(), reflect.ValueOf(second).Elem())
	return out
}

func take(r *rand.Rand, into, from reflect.Value) {
	for i := range into.NumField() {
		field := into.Type().Field(i)
		if !field.IsExported() || field.Type == reflect.TypeFor[metav1.TypeMeta]() || field.Name == "ManagedFields" {
			continue
		}
		switch to, part := into.Field(i), from.Field(i); {
		case to.Kind() == reflect.Struct && (field.Anonymous || r.Intn(2) == 0):
			take(r, to, part)
		case r.Intn(4) == 0:
			to.Set(part)
		}
	}
}
