package api

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// podFieldList says how the fields of a pod are covered that no case names as
// they are. The keys are Go type and JSON name: Container.image.
type podFieldList struct {
	// Free: Kubernetes takes any value. The reason says what becomes of it.
	Free map[string]string
	// Dropped: the field is behind a gate that is off in Kubernetes, and what a
	// client says there is not stored.
	Dropped []string
	// Elsewhere: what is wrong with the field is said of this other path.
	Elsewhere map[string]string
}

// TestEveryPodField wants a case for every field of a pod template, new ones
// of a later library among them: one that shows a wrong value refused.
func TestEveryPodField(t *testing.T) {
	text, err := os.ReadFile("testdata/podfields.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list podFieldList
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	refusedFields, refusedPaths := map[string]bool{}, map[string]bool{}
	eachCase(t, func(_ string, c apiCase) {
		_, obj := decodeCase(t, c.Object)
		for _, message := range c.Want {
			path, _, _ := strings.Cut(message, ": ")
			refusedPaths[indices.ReplaceAllString(path, "[]")] = true
			if field := fieldAt(reflect.TypeOf(obj), path); field != "" {
				refusedFields[field] = true
			}
		}
	})
	droppedFields(t, list.Dropped)
	all := map[string]bool{}
	leaves(reflect.TypeFor[corev1.PodTemplateSpec](), all, map[string]bool{})
	for _, field := range slices.Sorted(maps.Keys(all)) {
		reason, free := list.Free[field]
		path, elsewhere := list.Elsewhere[field]
		switch {
		case elsewhere && !refusedPaths[path]:
			t.Errorf("%s: no case refuses something at %s", field, path)
		case elsewhere:
		case refusedFields[field] && free:
			t.Errorf("%s: said to be free, and a case refuses a value", field)
		case refusedFields[field], free && reason != "", slices.Contains(list.Dropped, field):
		default:
			t.Errorf("%s: no case refuses a wrong value; write one, or say in podfields.yaml why there is none", field)
		}
	}
	for _, names := range [][]string{slices.Sorted(maps.Keys(list.Free)), list.Dropped, slices.Sorted(maps.Keys(list.Elsewhere))} {
		for _, field := range names {
			if !all[field] {
				t.Errorf("podfields.yaml names %s, which is no field of a pod", field)
			}
		}
	}
}

var indices = regexp.MustCompile(`\[[^\]]*\]`)

// fieldAt finds which field of which type a path ends at.
func fieldAt(t reflect.Type, path string) string {
	found := ""
	for _, name := range strings.Split(indices.ReplaceAllString(path, ""), ".") {
		t = element(t)
		if t.Kind() != reflect.Struct {
			return found // a key of a map
		}
		owner, f, ok := jsonField(t, name)
		if !ok {
			return ""
		}
		found, t = owner.Name()+"."+name, f.Type
	}
	return found
}

// jsonField finds a field by its JSON name, and the type that declares it.
func jsonField(t reflect.Type, name string) (reflect.Type, reflect.StructField, bool) {
	for f := range t.Fields() {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == name && name != "" {
			return t, f, true
		}
		if f.Anonymous && tag == "" {
			if owner, inner, ok := jsonField(element(f.Type), name); ok {
				return owner, inner, true
			}
		}
	}
	return nil, reflect.StructField{}, false
}

// leaves notes the fields below a type that hold values; seen are the types
// that were looked at.
func leaves(t reflect.Type, into, seen map[string]bool) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := element(f.Type)
		switch {
		case inner.Kind() != reflect.Struct || isValue(inner):
			into[t.Name()+"."+name] = true
		case !seen[inner.Name()]:
			seen[inner.Name()] = true
			leaves(inner, into, seen)
		}
	}
}

func isValue(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](),
		reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.FieldsV1]():
		return true
	}
	return false
}

// element is what a pointer points to and a list is made of.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// droppedFields fills every field of a pod and sees which of the given ones
// defaulting leaves.
func droppedFields(t *testing.T, fields []string) {
	t.Helper()
	pod := &corev1.Pod{}
	fill(reflect.ValueOf(&pod.Spec).Elem())
	Scheme.Default(pod)
	left := map[string]bool{}
	setFields(reflect.ValueOf(pod.Spec), left)
	for _, field := range fields {
		if left[field] {
			t.Errorf("%s is not dropped", field)
		}
	}
	if len(left) < 100 {
		t.Errorf("only %d fields of a full pod are left", len(left))
	}
}

// fill gives every field a value and every list an element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0))
		}
	case reflect.Struct:
		if !isValue(v.Type()) {
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	}
}

// setFields notes which fields hold something.
func setFields(v reflect.Value, into map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			setFields(v.Elem(), into)
		}
	case reflect.Slice:
		for i := range v.Len() {
			setFields(v.Index(i), into)
		}
	case reflect.Struct:
		if isValue(v.Type()) {
			return
		}
		for f, value := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !value.IsZero() {
				into[v.Type().Name()+"."+name] = true
				setFields(value, into)
			}
		}
	}
}
