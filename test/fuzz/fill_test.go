package fuzz

import (
	"math"
	"math/rand"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/resource"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"berth.dev/berth/internal/api"
)

// filler fills objects of any type, field by field, with src's choices.
func filler(src rand.Source) *randfill.Filler {
	own := func(serializer.CodecFactory) []any {
		return []any{
			func(s *string, c randfill.Continue) {
				if *s = words[c.Intn(len(words))]; c.Intn(8) == 0 {
					*s = c.String(30)
				}
			},
			func(i *int32, c randfill.Continue) { *i = int32(number(c)) },
			func(i *int64, c randfill.Continue) { *i = number(c) },
			func(q *resource.Quantity, c randfill.Continue) {
				texts := []string{"0", "1", "100m", "1n", "1Gi", "-1", "3", "0.5", "9223372036854775807", "1e18", "12345678901234567890"}
				*q = resource.MustParse(texts[c.Intn(len(texts))])
			},
			func(v *intstr.IntOrString, c randfill.Continue) {
				if c.Bool() {
					*v = intstr.FromInt32(int32(number(c)))
				} else {
					*v = intstr.FromString(words[c.Intn(len(words))])
				}
			},
			func(t *metav1.MicroTime, c randfill.Continue) { t.Time = time.UnixMicro(c.Int63n(1 << 52)) },
			func(e *runtime.RawExtension, c randfill.Continue) {
				e.Raw = []byte([]string{`{}`, `{"a":[1,null]}`, `null`, `{"apiVersion":"v1","kind":"Pod"}`}[c.Intn(4)])
			},
			func(s *metav1.LabelSelector, c randfill.Continue) { c.FillNoCustom(s) },
		}
	}
	f := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, own), src, api.Codecs)
	return f.NilChance(.6).NumElements(0, 2).MaxDepth(30)
}

func number(c randfill.Continue) int64 {
	near := []int64{0, 1, 2, 3, 80, 443, 30000, 65535, 65536, -1, math.MaxInt32, math.MaxInt64}
	return near[c.Intn(len(near))]
}

// fill makes an object of k. Enumerations and other named strings get words too.
func fill(f *randfill.Filler, r *rand.Rand, k api.Kind) runtime.Object {
	obj := k.New()
	f.Fill(obj)
	name(r, reflect.ValueOf(obj))
	meta := obj.(metav1.Object)
	meta.SetManagedFields(nil)
	if r.Intn(4) > 0 {
		meta.SetName("a")
		meta.SetGenerateName("")
	}
	return obj
}

// name walks v and gives words to the strings of named types.
func name(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			name(r, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				name(r, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			name(r, v.Index(i))
		}
	case reflect.String:
		if v.Type() != reflect.TypeFor[string]() {
			v.SetString(words[r.Intn(len(words))])
		}
	}
}
