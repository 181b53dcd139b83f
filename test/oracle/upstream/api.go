package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// api is the API server and the informers' caches in one: a client that knows
// what the StatefulSet controller needs, and panics on all else.
type api struct {
	kubernetes.Interface
	record.EventRecorder

	mu                            sync.Mutex
	now                           metav1.Time
	version                       int
	pods, claims, revisions, sets cache.Indexer
	refused                       []string
	answer                        Answer
}

func newAPI(s *State) *api {
	a := &api{refused: s.Refused, now: s.Now, version: 1, pods: index(), claims: index(), revisions: index(), sets: index()}
	must(a.sets.Add(s.Set))
	for _, pod := range s.Pods {
		must(a.pods.Add(pod))
	}
	for _, claim := range s.Claims {
		must(a.claims.Add(claim))
	}
	for _, rev := range s.Revisions {
		must(a.revisions.Add(rev))
	}
	return a
}

func index() cache.Indexer {
	return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Event keeps an event.
func (a *api) Event(_ runtime.Object, kind, reason, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer.Events = append(a.answer.Events, Event{kind, reason, message})
}

// object is what all kinds are.
type object interface {
	runtime.Object
	metav1.Object
}

// store is one kind of the API.
type store[T object] struct {
	api     *api
	objects cache.Indexer
	ns      string
	kind    string
}

func (s store[T]) resource() schema.GroupResource { return schema.GroupResource{Resource: s.kind} }

func (s store[T]) find(name string) (T, error) {
	found, ok, err := s.objects.GetByKey(s.ns + "/" + name)
	must(err)
	if !ok {
		var none T
		return none, apierrors.NewNotFound(s.resource(), name)
	}
	return found.(T), nil
}

// refuse is the error for a write that is not allowed.
func (s store[T]) refuse(verb, name string) error {
	if slices.Contains(s.api.refused, verb+" "+s.kind+" "+name) {
		return apierrors.NewForbidden(s.resource(), name, errors.New("not today"))
	}
	return nil
}

func (s store[T]) wrote(verb string, obj T) (T, error) {
	s.api.version++
	obj.SetResourceVersion(strconv.Itoa(s.api.version))
	must(s.objects.Update(obj))
	s.api.answer.Writes = append(s.api.answer.Writes, Write{Verb: verb, Kind: s.kind, Name: obj.GetName(), Object: obj})
	return obj.DeepCopyObject().(T), nil
}

func (s store[T]) Create(_ context.Context, obj T, _ metav1.CreateOptions) (T, error) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	if _, err := s.find(obj.GetName()); err == nil {
		return obj, apierrors.NewAlreadyExists(s.resource(), obj.GetName())
	}
	if err := s.refuse("create", obj.GetName()); err != nil {
		return obj, err
	}
	obj = obj.DeepCopyObject().(T)
	obj.SetNamespace(s.ns)
	obj.SetUID(types.UID("new-" + obj.GetName()))
	obj.SetCreationTimestamp(s.api.now)
	return s.wrote("create", obj)
}

func (s store[T]) Get(_ context.Context, name string, _ metav1.GetOptions) (T, error) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	return s.find(name)
}

func (s store[T]) Update(_ context.Context, obj T, _ metav1.UpdateOptions) (T, error) {
	return s.replace("update", obj)
}

func (s store[T]) UpdateStatus(_ context.Context, obj T, _ metav1.UpdateOptions) (T, error) {
	return s.replace("status", obj)
}

func (s store[T]) replace(verb string, obj T) (T, error) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	old, err := s.find(obj.GetName())
	if err != nil {
		return obj, err
	}
	if obj.GetResourceVersion() != old.GetResourceVersion() {
		return old, apierrors.NewConflict(s.resource(), obj.GetName(), errors.New("the object has been modified"))
	}
	if err := s.refuse(verb, obj.GetName()); err != nil {
		return old, err
	}
	return s.wrote(verb, obj.DeepCopyObject().(T))
}

func (s store[T]) Patch(_ context.Context, name string, kind types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (T, error) {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	old, err := s.find(name)
	if err != nil {
		return old, err
	}
	if kind != types.StrategicMergePatchType {
		return old, fmt.Errorf("this API knows no patch of type %s", kind)
	}
	before, err := json.Marshal(old)
	must(err)
	after, err := strategicpatch.StrategicMergePatch(before, data, old)
	must(err)
	next := reflect.New(reflect.TypeOf(old).Elem()).Interface().(T)
	must(json.Unmarshal(after, next))
	return s.wrote("patch", next)
}

// Delete lets pods terminate, whatever else go at once.
func (s store[T]) Delete(_ context.Context, name string, _ metav1.DeleteOptions) error {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	old, err := s.find(name)
	if err != nil {
		return err
	}
	if err := s.refuse("delete", name); err != nil {
		return err
	}
	s.api.answer.Writes = append(s.api.answer.Writes, Write{Verb: "delete", Kind: s.kind, Name: name})
	if _, pod := any(old).(*corev1.Pod); !pod {
		must(s.objects.Delete(old))
	}
	return nil
}
