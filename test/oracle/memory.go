package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// memory is the API server and the cache in one: reads are never behind writes.
type memory struct {
	now     metav1.Time
	version int
	objects map[key]client.Object
	refused []string
	answer  Answer
}

var (
	_ client.Reader = (*memory)(nil)
	_ loop.Writer   = (*memory)(nil)
	_ loop.Recorder = (*memory)(nil)
)

func newMemory(s *State) *memory {
	return &memory{refused: s.Refused, now: s.Now, version: 1, objects: s.copy().objects()}
}

// Event keeps an event.
func (m *memory) Event(_ runtime.Object, kind, reason, message string) {
	m.answer.Events = append(m.answer.Events, Event{kind, reason, message})
}

func (m *memory) find(obj client.Object) (client.Object, error) {
	kind := kindOf(obj)
	if kind == "" {
		return nil, fmt.Errorf("no state holds a %T", obj)
	}
	found := m.objects[key{kind, obj.GetName()}]
	if found == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: kind}, obj.GetName())
	}
	return found, nil
}

func into(stored, obj client.Object) {
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(stored.DeepCopyObject()).Elem())
}

func (m *memory) Get(_ context.Context, name client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	obj.SetName(name.Name)
	found, err := m.find(obj)
	if err != nil {
		return err
	}
	into(found, obj)
	return nil
}

// List answers by the index of owners, the only one that is asked for.
func (m *memory) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	owner, asked := options.FieldSelector.RequiresExactMatch(loop.OwnerUID)
	if !asked {
		return fmt.Errorf("list %T: by no owner", list)
	}
	kind := strings.TrimSuffix(reflect.TypeOf(list).Elem().Name(), "List")
	var items []runtime.Object
	for k, obj := range m.objects {
		if k.kind == kind && slices.Contains(loop.ByOwner(obj).Keys(obj), owner) {
			items = append(items, obj.DeepCopyObject())
		}
	}
	slices.SortFunc(items, func(a, b runtime.Object) int { return byName(a.(client.Object), b.(client.Object)) })
	return apimeta.SetList(list, items)
}

func byName(a, b client.Object) int { return strings.Compare(a.GetName(), b.GetName()) }

func (m *memory) wrote(verb string, obj client.Object) error {
	m.version++
	obj.SetResourceVersion(strconv.Itoa(m.version))
	stored := obj.DeepCopyObject().(client.Object)
	text, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	k := key{kindOf(obj), obj.GetName()}
	m.objects[k] = stored
	m.answer.Writes = append(m.answer.Writes, Write{Verb: verb, Kind: k.kind, Name: k.name, Object: text})
	return nil
}

// refuse is the error for a write that is not allowed.
func (m *memory) refuse(verb string, obj client.Object) error {
	kind, name := kindOf(obj), obj.GetName()
	if slices.Contains(m.refused, verb+" "+kind+" "+name) {
		return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, name, errors.New("not today"))
	}
	return nil
}

func (m *memory) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	if _, err := m.find(obj); err == nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: kindOf(obj)}, obj.GetName())
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	if err := m.refuse("create", obj); err != nil {
		return err
	}
	obj.SetUID(types.UID("new-" + obj.GetName()))
	obj.SetCreationTimestamp(m.now)
	return m.wrote("create", obj)
}

func (m *memory) Update(_ context.Context, obj client.Object, _ ...client.UpdateOption) error {
	return m.replace("update", obj)
}

func (m *memory) replace(verb string, obj client.Object) error {
	old, err := m.find(obj)
	if err != nil {
		return err
	}
	if obj.GetResourceVersion() != old.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{Resource: kindOf(obj)}, obj.GetName(), errors.New("the object has been modified"))
	}
	if err := m.refuse(verb, obj); err != nil {
		return err
	}
	return m.wrote(verb, obj)
}

func (m *memory) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	old, err := m.find(obj)
	if err != nil {
		return err
	}
	if patch.Type() != types.StrategicMergePatchType {
		return fmt.Errorf("this API knows no patch of type %s", patch.Type())
	}
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	before, err := json.Marshal(old)
	if err != nil {
		return err
	}
	after, err := strategicpatch.StrategicMergePatch(before, data, old)
	if err != nil {
		return err
	}
	next := empty(kindOf(old))
	if err := json.Unmarshal(after, next); err != nil {
		return err
	}
	if err := m.wrote("patch", next); err != nil {
		return err
	}
	into(next, obj)
	return nil
}

// Delete lets pods terminate, whatever else go at once.
func (m *memory) Delete(_ context.Context, obj client.Object, opts ...client.DeleteOption) error {
	old, err := m.find(obj)
	if err != nil {
		return err
	}
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	if p := options.Preconditions; p == nil || p.UID == nil || *p.UID != old.GetUID() {
		return fmt.Errorf("delete %s %s: not of this very object", kindOf(old), old.GetName())
	}
	if err := m.refuse("delete", old); err != nil {
		return err
	}
	k := key{kindOf(old), old.GetName()}
	m.answer.Writes = append(m.answer.Writes, Write{Verb: "delete", Kind: k.kind, Name: k.name})
	if k.kind != podKind {
		delete(m.objects, k)
	}
	return nil
}

func (m *memory) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return fmt.Errorf("this API deletes no collections")
}

func (m *memory) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return fmt.Errorf("this API does not apply")
}

func (m *memory) Status() client.SubResourceWriter { return statusOf{memory: m} }

func (m *memory) SubResource(name string) client.SubResourceClient {
	panic("no subresource " + name + " is to be asked for")
}

// statusOf writes statuses.
type statusOf struct {
	client.SubResourceWriter
	memory *memory
}

func (w statusOf) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	return w.memory.replace("status", obj)
}
