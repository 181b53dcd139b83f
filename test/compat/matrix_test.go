package compat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
)

const within = 30 * time.Second

// exercise does everything with one resource.
func (s *server) exercise(t *testing.T, r resource) {
	switch {
	case slices.Equal(r.verbs, []string{"create"}):
		s.post(t, r)
		return
	case slices.Equal(r.verbs, []string{"get", "list"}):
		s.read(t, r)
		return
	}
	for _, verb := range []string{"create", "delete", "get", "list", "patch", "update", "watch"} {
		if !slices.Contains(r.verbs, verb) {
			t.Errorf("%s is not offered", verb)
		}
	}
	first, second := examples(t, r)
	c := &client{ResourceInterface: s.resource(r), t: t, r: r, name: first.GetName()}
	c.create(first)
	events := c.watch()
	c.formats(s)
	c.update()
	c.patch()
	c.apply(first)
	subs := slices.Sorted(maps.Keys(r.sub))
	slices.Reverse(subs) // status before scale, which makes controllers write it
	for _, sub := range subs {
		t.Run(sub, func(t *testing.T) { s.subresource(t, r, sub, first) })
	}
	c.delete()
	events.see(watch.Added, watch.Modified, watch.Deleted)
	if slices.Contains(r.verbs, "deletecollection") {
		c.deleteCollection(first, second)
	}
}

func (s *server) resource(r resource) dynamic.ResourceInterface {
	if r.namespaced {
		return s.dynamic.Resource(r.GroupVersionResource).Namespace(namespace)
	}
	return s.dynamic.Resource(r.GroupVersionResource)
}

// client works on the objects of one resource.
type client struct {
	dynamic.ResourceInterface
	t    *testing.T
	r    resource
	name string
}

func (c *client) must(doing string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s %s: %v", doing, c.r, err)
	}
}

func (c *client) create(o *unstructured.Unstructured) {
	ctx := c.t.Context()
	_, err := c.Create(ctx, o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	c.must("dry-run create", err)
	if _, err := c.Get(ctx, c.name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		c.t.Fatalf("after a dry run, get says %v", err)
	}
	made, err := c.Create(ctx, o, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	c.must("create", err)
	if made.GetUID() == "" || made.GetResourceVersion() == "" || made.GetKind() != c.r.kind {
		c.t.Errorf("created %v", made)
	}
	if _, err := c.Create(ctx, o, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		c.t.Errorf("created twice: %v", err)
	}
	got, err := c.Get(ctx, c.name, metav1.GetOptions{})
	c.must("get", err)
	if got.GetUID() != made.GetUID() {
		c.t.Errorf("got %s, made %s", got.GetUID(), made.GetUID())
	}
}

// update retries, as clients must: controllers write too.
func (c *client) update() {
	ctx := c.t.Context()
	for {
		o, err := c.Get(ctx, c.name, metav1.GetOptions{})
		c.must("get", err)
		o.SetLabels(with(o.GetLabels(), "updated", "yes"))
		o, err = c.Update(ctx, o, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
		if apierrors.IsConflict(err) {
			continue
		}
		c.must("update", err)
		if o.GetLabels()["updated"] != "yes" {
			c.t.Errorf("update gave %v", o.GetLabels())
		}
		break
	}
	stale, err := c.Get(ctx, c.name, metav1.GetOptions{})
	c.must("get", err)
	stale.SetResourceVersion("1")
	stale.SetLabels(with(stale.GetLabels(), "stale", "yes"))
	if _, err := c.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		c.t.Errorf("update of an old version: %v", err)
	}
}

func (c *client) patch() {
	ctx := c.t.Context()
	patches := map[types.PatchType]string{
		types.MergePatchType:          `{"metadata":{"annotations":{"merged":"yes"}}}`,
		types.StrategicMergePatchType: `{"metadata":{"annotations":{"strategic":"yes"}}}`,
		types.JSONPatchType:           `[{"op":"add","path":"/metadata/labels/json","value":"yes"}]`,
	}
	if c.r.Group == "compat.example.com" || strings.HasPrefix(c.r.Group, "spiderpool.") || strings.HasPrefix(c.r.Group, "k8s.cni.") || c.r.Group == snapshots {
		delete(patches, types.StrategicMergePatchType) // upstream: custom kinds have no strategic merge
	}
	for kind, body := range patches {
		o, err := c.Patch(ctx, c.name, kind, []byte(body), metav1.PatchOptions{})
		c.must(string(kind), err)
		if o.GetAnnotations()["merged"]+o.GetAnnotations()["strategic"]+o.GetLabels()["json"] == "" {
			c.t.Errorf("%s did nothing", kind)
		}
	}
}

func (c *client) apply(example *unstructured.Unstructured) {
	o := example.DeepCopy()
	delete(o.Object, "status")
	o.SetAnnotations(with(o.GetAnnotations(), "applied", "yes"))
	got, err := c.Apply(c.t.Context(), c.name, o, metav1.ApplyOptions{FieldManager: "compat", Force: true})
	c.must("apply", err)
	managed := slices.ContainsFunc(got.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == "compat" && m.Operation == metav1.ManagedFieldsOperationApply
	})
	if !managed || got.GetAnnotations()["applied"] != "yes" {
		c.t.Errorf("apply gave %v, managed by %v", got.GetAnnotations(), got.GetManagedFields())
	}
}

func (c *client) delete() {
	ctx := c.t.Context()
	err := c.Delete(ctx, c.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("another"))}})
	if !apierrors.IsConflict(err) {
		c.t.Errorf("delete of another UID: %v", err)
	}
	c.must("delete", c.Delete(ctx, c.name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}))
	c.gone(c.name)
}

func (c *client) gone(name string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s %s to be gone", c.r, name), func() []bool {
		_, err := c.Get(c.t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return []bool{true}
		}
		c.must("get", err)
		return nil
	})
}

func (c *client) deleteCollection(objects ...*unstructured.Unstructured) {
	ctx := c.t.Context()
	for _, o := range objects {
		o = o.DeepCopy()
		o.SetLabels(with(o.GetLabels(), "collection", "yes"))
		_, err := c.Create(ctx, o, metav1.CreateOptions{})
		c.must("create again", err)
	}
	selected := metav1.ListOptions{LabelSelector: "collection=yes"}
	list, err := c.List(ctx, selected)
	c.must("list", err)
	if len(list.Items) != len(objects) {
		c.t.Fatalf("%d of %d in the list", len(list.Items), len(objects))
	}
	page, err := c.List(ctx, metav1.ListOptions{LabelSelector: "collection=yes", Limit: 1})
	c.must("list a page of", err)
	if len(page.Items) != 1 || page.GetContinue() == "" {
		c.t.Errorf("a page of one has %d, and continues at %q", len(page.Items), page.GetContinue())
	}
	c.must("delete the collection of", c.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}, selected))
	for _, o := range objects {
		c.gone(o.GetName())
	}
}

// with is a map with one more entry.
func with(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// eventually asks until there is an answer.
func eventually[T any](t *testing.T, what string, ask func() []T) []T {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if out := ask(); out != nil {
			return out
		}
	}
	t.Fatalf("waited %s for %s", within, what)
	return nil
}

// events are what a watch on one object shows.
type events struct {
	watch.Interface
	c *client
}

func (c *client) watch() *events {
	w, err := c.Watch(context.WithoutCancel(c.t.Context()), metav1.ListOptions{
		FieldSelector: "metadata.name=" + c.name, TimeoutSeconds: ptr.To(int64(within.Seconds())),
	})
	c.must("watch", err)
	c.t.Cleanup(w.Stop)
	return &events{w, c}
}

// see wants these kinds of events in this order, others may lie between.
func (e *events) see(want ...watch.EventType) {
	e.c.t.Helper()
	for event := range e.ResultChan() {
		if event.Type == want[0] {
			if want = want[1:]; len(want) == 0 {
				return
			}
		}
	}
	e.c.t.Errorf("the watch on %s never showed %v", e.c.r, want)
}
