package loop

import (
	"context"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Lost is how long a loop that waits for the event of its own write waits at
// most before it looks again: a safety net, the event comes within milliseconds.
const Lost = 2 * time.Second

// OwnWrites keeps a loop from deciding on a cache older than its own last write
// for the same key. Use it so:
//
//	if !own.Seen(ctx, req.NamespacedName) {
//		return reconcile.Result{RequeueAfter: loop.Lost}, nil // the event of our write wakes us
//	}
//	write := own.Writer(req.NamespacedName)
//
// Every write through that Writer is remembered until the cache shows it. The
// loop must watch the kinds it writes, so that the event of the write wakes it.
type OwnWrites struct {
	write   Writer
	cache   client.Reader
	horizon Horizon

	mu   sync.Mutex
	keys map[types.NamespacedName]*unseen
}

// unseen are the writes of one key that the cache may not show yet.
type unseen struct {
	versions map[KindKey]versionOf
	deletes  map[types.UID]client.Object
}

type versionOf struct {
	kind    client.Object
	version uint64
}

// NewOwnWrites returns an empty memory over the loop's environment.
func NewOwnWrites(env Env) *OwnWrites {
	return &OwnWrites{
		write: env.Write, cache: env.Cache, horizon: env.Horizon,
		keys: map[types.NamespacedName]*unseen{},
	}
}

// Seen reports whether the cache shows every write made for key so far.
func (o *OwnWrites) Seen(ctx context.Context, key types.NamespacedName) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := o.keys[key]
	if u == nil {
		return true
	}
	for k, v := range u.versions {
		if o.horizon != nil && o.horizon.Seen(v.kind) < v.version {
			return false
		}
		delete(u.versions, k)
	}
	for uid, obj := range u.deletes {
		if !o.gone(ctx, obj) {
			return false
		}
		delete(u.deletes, uid)
	}
	delete(o.keys, key)
	return true
}

// gone reports whether the cache shows that this very object is deleted or on
// its way: a delete's answer carries no resourceVersion to wait for.
func (o *OwnWrites) gone(ctx context.Context, deleted client.Object) bool {
	cached := newLike(deleted)
	err := o.cache.Get(ctx, client.ObjectKeyFromObject(deleted), cached)
	if apierrors.IsNotFound(err) {
		return true
	}
	if err != nil {
		return false
	}
	return cached.GetUID() != deleted.GetUID() || cached.GetDeletionTimestamp() != nil
}

// Writer returns the loop's writer, remembering what it writes under key.
func (o *OwnWrites) Writer(key types.NamespacedName) Writer {
	return ownWriter{Writer: o.write, own: o, key: key}
}

func (o *OwnWrites) of(key types.NamespacedName) *unseen {
	u := o.keys[key]
	if u == nil {
		u = &unseen{versions: map[KindKey]versionOf{}, deletes: map[types.UID]client.Object{}}
		o.keys[key] = u
	}
	return u
}

func (o *OwnWrites) wrote(key types.NamespacedName, obj client.Object, err error) error {
	if err != nil {
		return err
	}
	version := Version(obj.GetResourceVersion())
	o.mu.Lock()
	defer o.mu.Unlock()
	u, k := o.of(key), KeyOf(obj)
	if version > u.versions[k].version {
		u.versions[k] = versionOf{kind: newLike(obj), version: version}
	}
	return nil
}

func (o *OwnWrites) deleted(key types.NamespacedName, obj client.Object, err error) error {
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(key).deletes[obj.GetUID()] = obj
	return nil
}

// ownWriter passes writes on and remembers the resourceVersion they ended in.
type ownWriter struct {
	Writer
	own *OwnWrites
	key types.NamespacedName
}

func (w ownWriter) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	return w.own.wrote(w.key, obj, w.Writer.Create(ctx, obj, opts...))
}

func (w ownWriter) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return w.own.wrote(w.key, obj, w.Writer.Update(ctx, obj, opts...))
}

func (w ownWriter) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return w.own.wrote(w.key, obj, w.Writer.Patch(ctx, obj, patch, opts...))
}

func (w ownWriter) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	return w.own.deleted(w.key, obj, w.Writer.Delete(ctx, obj, opts...))
}

func (w ownWriter) Status() client.SubResourceWriter {
	return ownStatus{SubResourceWriter: w.Writer.Status(), own: w.own, key: w.key}
}

// SubResource remembers an eviction as the delete that it is.
func (w ownWriter) SubResource(name string) client.SubResourceClient {
	return ownSubResource{SubResourceClient: w.Writer.SubResource(name), own: w.own, key: w.key, name: name}
}

// ownSubResource does the same for other subresources.
type ownSubResource struct {
	client.SubResourceClient
	own  *OwnWrites
	key  types.NamespacedName
	name string
}

func (w ownSubResource) Create(ctx context.Context, obj, sub client.Object, opts ...client.SubResourceCreateOption) error {
	err := w.SubResourceClient.Create(ctx, obj, sub, opts...)
	if w.name == "eviction" {
		return w.own.deleted(w.key, obj, err)
	}
	return err
}

func (w ownSubResource) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	return w.own.wrote(w.key, obj, w.SubResourceClient.Update(ctx, obj, opts...))
}

func (w ownSubResource) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return w.own.wrote(w.key, obj, w.SubResourceClient.Patch(ctx, obj, patch, opts...))
}

// ownStatus does the same for the status subresource.
type ownStatus struct {
	client.SubResourceWriter
	own *OwnWrites
	key types.NamespacedName
}

func (w ownStatus) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	return w.own.wrote(w.key, obj, w.SubResourceWriter.Update(ctx, obj, opts...))
}

func (w ownStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return w.own.wrote(w.key, obj, w.SubResourceWriter.Patch(ctx, obj, patch, opts...))
}

// newLike returns an empty object of the same kind.
func newLike(obj client.Object) client.Object {
	fresh := reflect.New(reflect.TypeOf(obj).Elem()).Interface().(client.Object)
	fresh.GetObjectKind().SetGroupVersionKind(obj.GetObjectKind().GroupVersionKind())
	return fresh
}
