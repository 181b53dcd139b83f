package fuzz

import (
	"math/rand"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/api/equal"
)

// TestEqual compares random objects of each kind with copies that differ in
// nothing or somewhere, and expects what the library says.
func TestEqual(t *testing.T) {
	src := rand.NewSource(1)
	f, r, same, different := filler(src), rand.New(src), 0, 0
	for _, k := range api.Kinds() {
		for range 20 {
			a := fill(f, r, k)
			b := a.DeepCopyObject()
			switch r.Intn(4) {
			case 0:
				b = fill(f, r, k)
			case 1: // deep down, most often
				nudge(r, b)
			case 2:
				b.(metav1.Object).SetLabels(map[string]string{})
				a.(metav1.Object).SetLabels(nil)
			}
			b.GetObjectKind().SetGroupVersionKind(a.GetObjectKind().GroupVersionKind())
			want := equality.Semantic.DeepEqual(a, b)
			if got := equal.Semantic(a, b); got != want {
				t.Fatalf("%s: %v, want %v\n%#v\n%#v", k.GVK, got, want, a, b)
			}
			if want {
				same++
			} else {
				different++
			}
		}
	}
	if same == 0 || different == 0 {
		t.Errorf("%d same, %d different", same, different)
	}
}

// nudge changes one plain value somewhere in o.
func nudge(r *rand.Rand, o any) {
	var leaves []reflect.Value
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.String, reflect.Int32, reflect.Int64, reflect.Bool:
			leaves = append(leaves, v)
		}
	}
	walk(reflect.ValueOf(o))
	switch v := leaves[r.Intn(len(leaves))]; v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		v.SetInt(v.Int() ^ 1)
	}
}
