package fuzz

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/api/quantity"
	"berth.dev/berth/internal/apiserver/registry"
)

// nowhere is storage of stores that are asked for their rules only.
type nowhere struct{}

func (nowhere) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return generic.RESTOptions{
		StorageConfig:  storagebackend.NewDefaultConfig("/x", nil).ForResource(resource),
		ResourcePrefix: resource.Resource,
		Decorator: func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object, func() runtime.Object,
			storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
		) (storage.Interface, factory.DestroyFunc, error) {
			return nil, func() {}, nil
		},
	}, nil
}

// subject is a kind with the store that applies its rules.
type subject struct {
	api.Kind
	*registry.Main
}

func subjects(t testing.TB) map[schema.GroupVersionKind]subject {
	t.Helper()
	out := map[schema.GroupVersionKind]subject{}
	for gvk, k := range kinds() {
		main, err := registry.NewMain(k, nowhere{})
		if err != nil {
			t.Fatalf("%v: %v", gvk, err)
		}
		out[gvk] = subject{k, main}
	}
	return out
}

// decode reads text as the server does.
func decode(text []byte) (runtime.Object, *schema.GroupVersionKind, error) {
	return api.Codecs.UniversalDecoder().Decode(text, nil, nil)
}

// endless says whether text has a quantity that the library reads for ever,
// for which the server refuses a request.
func endless(text []byte) bool {
	return quantity.InBody("", text, nil, func(version, kind string) reflect.Type {
		obj, err := api.Scheme.New(schema.FromAPIVersionAndKind(version, kind))
		if err != nil {
			return nil
		}
		return reflect.TypeOf(obj)
	}) != nil
}

// FuzzObject looks for text that breaks a rule.
func FuzzObject(f *testing.F) {
	all := subjects(f)
	for _, list := range seeds(f) {
		for _, m := range list {
			text, err := json.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	for _, q := range endlessQuantities {
		f.Add(fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"q"},"spec":{"resources":{"requests":{"storage":%s}}}}`, q))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if endless(text) {
			return
		}
		obj, gvk, err := decode(text)
		if err != nil {
			return
		}
		if s, ok := all[*gvk]; ok {
			s.exercise(t, obj)
		}
	})
}

// FuzzFilled does the same with objects that choices fill field by field.
func FuzzFilled(f *testing.F) {
	all, list := subjects(f), api.Kinds()
	for i := range list {
		f.Add(uint8(i), int64(i))
	}
	f.Fuzz(func(t *testing.T, i uint8, choices int64) {
		s := all[list[int(i)%len(list)].GVK]
		s.random(t, rand.New(rand.NewSource(choices)))
	})
}

func (s subject) random(t testing.TB, r *rand.Rand) {
	t.Helper()
	obj := fill(filler(r), r, s.Kind)
	text, err := runtime.Encode(api.Codecs.LegacyCodec(s.GVK.GroupVersion()), obj)
	if err != nil {
		t.Fatalf("%v cannot be encoded: %v", s.GVK, err)
	}
	s.text(t, text)
}

func (s subject) text(t testing.TB, text []byte) {
	t.Helper()
	if endless(text) {
		return
	}
	obj, _, err := decode(text)
	if err != nil {
		return // for instance a list where an object was
	}
	within(t, func() string { return string(text) }, func() { s.exercise(t, obj) })
	if t.Failed() {
		t.Fatalf("this was %s", text)
	}
}

// TestSeeds checks that valid objects are taken as such: without that the
// random runs would dig nowhere.
func TestSeeds(t *testing.T) {
	all := subjects(t)
	known := seeds(t)
	for gvk, s := range all {
		if len(known[gvk]) == 0 {
			t.Logf("%v has no seed", gvk)
		}
		for i, m := range known[gvk] {
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			obj, _, err := decode(text)
			if err != nil {
				t.Errorf("%v %d: %v", gvk, i, err)
				continue
			}
			if err := s.create(context.Background(), obj); err != nil {
				t.Errorf("%v %d: %v", gvk, i, err)
			}
			s.text(t, text)
		}
	}
}

func TestRandomObjects(t *testing.T) {
	r := source(t)
	all, list, known := subjects(t), api.Kinds(), seeds(t)
	valid, changed, filled := 0, 0, 0
	for end := time.Now().Add(*span); time.Now().Before(end); {
		s := all[list[r.Intn(len(list))].GVK]
		mine := known[s.GVK]
		if len(mine) == 0 || r.Intn(4) == 0 {
			filled++
			s.random(t, rand.New(rand.NewSource(r.Int63())))
			continue
		}
		text, err := json.Marshal(mutate(r, mine[r.Intn(len(mine))]))
		if err != nil {
			continue // a number that JSON does not have
		}
		if endless(text) {
			continue
		}
		if obj, _, err := decode(text); err == nil && s.create(context.Background(), obj) == nil {
			valid++
		}
		changed++
		s.text(t, text)
	}
	t.Logf("%d objects filled at random; %d of %d changed seeds were valid", filled, valid, changed)
}
