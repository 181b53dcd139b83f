package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// writer is the write half of the simulated API for one client. before and
// after run around each write; either may fail it or end the process.
type writer struct {
	sim    *Sim
	store  *store
	before func(verb string, obj client.Object) error
	after  func(verb string, obj client.Object) error
	// failed is told of writes that failed.
	failed func(verb string, obj client.Object)
}

var _ loop.Writer = (*writer)(nil)

// do runs one write: find the kind, let faults happen, write, fill the answer in.
func (w *writer) do(verb string, obj client.Object, write func(schema.GroupVersionKind) (client.Object, error)) error {
	err := w.try(verb, obj, write)
	if err != nil && w.failed != nil {
		w.failed(verb, obj)
	}
	return err
}

func (w *writer) try(verb string, obj client.Object, write func(schema.GroupVersionKind) (client.Object, error)) error {
	gvk, err := w.store.gvk(obj)
	if err != nil {
		return err
	}
	if w.before != nil {
		if err := w.before(verb, obj); err != nil {
			return err
		}
	}
	result, err := write(gvk)
	if err != nil {
		return err
	}
	if result != nil {
		into(clone(result), obj)
	}
	if w.after != nil {
		return w.after(verb, obj)
	}
	return nil
}

// into copies a stored object to where a client wants it.
func into(stored, obj client.Object) {
	if partial, ok := obj.(*metav1.PartialObjectMetadata); ok {
		partial.ObjectMeta = *metaOf(stored)
		return
	}
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(stored).Elem())
}

func metaOf(obj client.Object) *metav1.ObjectMeta {
	return obj.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
}

func (w *writer) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	return w.do("create", obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
		return w.store.create(gvk, obj)
	})
}

func (w *writer) Update(_ context.Context, obj client.Object, _ ...client.UpdateOption) error {
	return w.do("update", obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
		return w.store.update(gvk, obj, "")
	})
}

func (w *writer) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return w.patch("patch", obj, patch, "")
}

func (w *writer) patch(verb string, obj client.Object, patch client.Patch, part string) error {
	return w.do(verb, obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
		old, err := w.store.get(gvk, client.ObjectKeyFromObject(obj))
		if err != nil {
			return nil, err
		}
		next, err := patched(old, obj, patch)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return w.store.update(gvk, next, part)
	})
}

// patched applies a patch to a stored object.
func patched(old, obj client.Object, patch client.Patch) (client.Object, error) {
	data, err := patch.Data(obj)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	var after []byte
	switch patch.Type() {
	case types.MergePatchType:
		after, err = mergePatch(before, data)
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, data, old)
	default:
		err = fmt.Errorf("the simulated API does not know patch type %s", patch.Type())
	}
	if err != nil {
		return nil, err
	}
	next := reflect.New(reflect.TypeOf(old).Elem()).Interface().(client.Object)
	return next, json.Unmarshal(after, next)
}

// mergePatch is RFC 7386: objects merge, null removes, the rest replaces.
func mergePatch(before, patch []byte) ([]byte, error) {
	var old, change any
	if err := json.Unmarshal(before, &old); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &change); err != nil {
		return nil, err
	}
	return json.Marshal(merge(old, change))
}

func merge(old, change any) any {
	changes, ok := change.(map[string]any)
	if !ok {
		return change
	}
	merged, ok := old.(map[string]any)
	if !ok {
		merged = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = merge(merged[key], value)
		}
	}
	return merged
}

func (w *writer) Delete(_ context.Context, obj client.Object, opts ...client.DeleteOption) error {
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	return w.do("delete", obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
		return nil, w.store.delete(gvk, client.ObjectKeyFromObject(obj), options)
	})
}

func (w *writer) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return fmt.Errorf("the simulated API does not delete collections")
}

func (w *writer) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return fmt.Errorf("the simulated API does not apply")
}

func (w *writer) Status() client.SubResourceWriter { return w.SubResource("status") }

func (w *writer) SubResource(name string) client.SubResourceClient {
	return &subResource{writer: w, name: name}
}

// subResource is one subresource of the simulated API.
type subResource struct {
	writer *writer
	name   string
}

func (r *subResource) Get(context.Context, client.Object, client.Object, ...client.SubResourceGetOption) error {
	return fmt.Errorf("the simulated API does not read subresource %s", r.name)
}

func (r *subResource) Create(_ context.Context, obj, sub client.Object, _ ...client.SubResourceCreateOption) error {
	if eviction, ok := sub.(*policyv1.Eviction); ok && r.name == "eviction" {
		return r.writer.do("evict", obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
			return nil, r.writer.store.evict(r.writer.sim, gvk, client.ObjectKeyFromObject(obj), eviction.DeleteOptions.Preconditions.UID)
		})
	}
	binding, ok := sub.(*corev1.Binding)
	if r.name != "binding" || !ok {
		return fmt.Errorf("the simulated API does not create subresource %s", r.name)
	}
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.UID, pod.Spec.NodeName = obj.GetNamespace(), obj.GetName(), binding.UID, binding.Target.Name
	return r.writer.do("bind", pod, func(gvk schema.GroupVersionKind) (client.Object, error) {
		return r.writer.store.bind(gvk, client.ObjectKeyFromObject(pod), binding.UID, binding.Target.Name)
	})
}

func (r *subResource) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	if r.name == "finalize" {
		return r.writer.do("update", obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
			return r.writer.store.update(gvk, obj, "")
		})
	}
	return r.writer.do("update "+r.name, obj, func(gvk schema.GroupVersionKind) (client.Object, error) {
		return r.writer.store.update(gvk, obj, r.name)
	})
}

func (r *subResource) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return r.writer.patch("patch "+r.name, obj, patch, r.name)
}

func (r *subResource) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return fmt.Errorf("the simulated API does not apply")
}

// bind is what the pods/binding subresource does.
func (s *store) bind(gvk schema.GroupVersionKind, key client.ObjectKey, uid types.UID, node string) (client.Object, error) {
	old, err := s.get(gvk, key)
	if err != nil {
		return nil, err
	}
	pod := clone(old).(*corev1.Pod)
	switch {
	case uid != "" && uid != pod.UID:
		return nil, apierrors.NewConflict(resource(gvk), key.Name, fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s)", uid, pod.UID))
	case pod.DeletionTimestamp != nil:
		return nil, apierrors.NewConflict(resource(gvk), key.Name, fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
	case pod.Spec.NodeName != "":
		return nil, apierrors.NewConflict(resource(gvk), key.Name, fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName))
	}
	pod.Spec.NodeName = node
	setCondition(pod, corev1.PodScheduled, corev1.ConditionTrue, s.clock.Now())
	s.put(gvk, old, pod)
	return pod, nil
}
