// Package owned is how a workload knows what is its own: it lists what it
// controls, takes in orphans that its selector matches and gives up what no
// longer belongs to it.
package owned

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// Owner is one workload during one reconcile.
type Owner struct {
	env    loop.Env
	write  loop.Writer
	object client.Object
	ref    metav1.OwnerReference
	// finalizer is one that everything owned has, "" for none.
	finalizer string

	adoptable *error // the answer of the live check, once asked
}

// New returns the owner of this kind; object is as the cache shows it.
func New(env loop.Env, write loop.Writer, object client.Object, kind schema.GroupVersionKind) *Owner {
	return &Owner{env: env, write: write, object: object, ref: *metav1.NewControllerRef(object, kind)}
}

// Tracking has the owner put a finalizer on what it takes in, and take it from
// what it gives up.
func (o *Owner) Tracking(finalizer string) *Owner {
	o.finalizer = finalizer
	return o
}

// Ref is the reference by which the owner controls what is its own.
func (o *Owner) Ref() metav1.OwnerReference { return o.ref }

// List lists the objects of one kind that the owner controls and those that
// nobody controls, in the owner's namespace. The kind must have the index
// loop.ByOwner.
func List[T any, L client.ObjectList](ctx context.Context, o *Owner, list L, items func(L) []T) (owned, orphans []*T, err error) {
	for _, part := range []struct {
		owner string
		into  *[]*T
	}{{string(o.object.GetUID()), &owned}, {loop.NoOwner, &orphans}} {
		found := list.DeepCopyObject().(L)
		if err := o.env.Cache.List(ctx, found, client.InNamespace(o.object.GetNamespace()), client.MatchingFields{loop.OwnerUID: part.owner}); err != nil {
			return nil, nil, err
		}
		all := items(found)
		for i := range all {
			*part.into = append(*part.into, &all[i])
		}
	}
	return owned, orphans, nil
}

// ListShared is List without copies: the objects are the cache's own, never to
// be changed.
func ListShared[T client.Object](ctx context.Context, o *Owner, list client.ObjectList) (owned, orphans []T, err error) {
	for _, part := range []struct {
		owner string
		into  *[]T
	}{{string(o.object.GetUID()), &owned}, {loop.NoOwner, &orphans}} {
		found := list.DeepCopyObject().(client.ObjectList)
		*part.into, err = loop.List[T](ctx, o.env.Cache, found, client.InNamespace(o.object.GetNamespace()), client.MatchingFields{loop.OwnerUID: part.owner})
		if err != nil {
			return nil, nil, err
		}
	}
	return owned, orphans, nil
}

// Claim returns those of owned that belong to the owner. The others are given
// up, and orphans that belong to it taken in; changed says that one was, and
// that the event of it will wake the loop. A workload that is being deleted
// leaves all as it is, nobody takes in what is being deleted.
func Claim[T client.Object](ctx context.Context, o *Owner, kind string, owned, orphans []T, belongs func(T) bool) (kept []T, changed bool, err error) {
	deleting := o.object.GetDeletionTimestamp() != nil
	for _, obj := range owned {
		switch {
		case belongs(obj):
			kept = append(kept, obj)
		case !deleting:
			done, err := o.release(ctx, obj.DeepCopyObject().(T))
			if changed = changed || done; err != nil {
				return kept, changed, err
			}
		}
	}
	for _, obj := range orphans {
		if deleting || obj.GetDeletionTimestamp() != nil || !belongs(obj) {
			continue
		}
		done, err := o.adopt(ctx, kind, obj.DeepCopyObject().(T))
		if changed = changed || done; err != nil {
			return kept, changed, err
		}
	}
	return kept, changed, nil
}

// Adopt makes the owner the object's controller, after a live look that the
// owner is still the one we know and is not being deleted. The object, which is not
// the cache's, is then as the API server has it.
func (o *Owner) Adopt(ctx context.Context, kind string, obj client.Object) error {
	_, err := o.adopt(ctx, kind, obj)
	return err
}

func (o *Owner) adopt(ctx context.Context, kind string, obj client.Object) (done bool, err error) {
	if err := o.mayAdopt(ctx); err != nil {
		return false, fmt.Errorf("can't adopt %s %s/%s (%s): %w", kind, obj.GetNamespace(), obj.GetName(), obj.GetUID(), err)
	}
	return o.patchOwners(ctx, obj, o.ref, "finalizers")
}

// release gives an object up that the owner no longer selects; it changes it as adopt does.
func (o *Owner) release(ctx context.Context, obj client.Object) (done bool, err error) {
	return o.patchOwners(ctx, obj, map[string]string{"$patch": "delete", "uid": string(o.ref.UID)}, "$deleteFromPrimitiveList/finalizers")
}

// patchOwners merges one entry into the owner references of this very object:
// the UID in the patch makes the server refuse it for another one of that name.
// An object that is gone is no error, but no event follows either.
func (o *Owner) patchOwners(ctx context.Context, obj client.Object, entry any, finalizers string) (done bool, err error) {
	metadata := map[string]any{"uid": obj.GetUID(), "ownerReferences": []any{entry}}
	if o.finalizer != "" {
		metadata[finalizers] = []string{o.finalizer}
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return false, err
	}
	err = o.write.Patch(ctx, obj, client.RawPatch(types.StrategicMergePatchType, patch))
	return err == nil, client.IgnoreNotFound(err)
}

// mayAdopt asks the API server once per reconcile.
func (o *Owner) mayAdopt(ctx context.Context) error {
	if o.adoptable == nil {
		err := o.checkAdoptable(ctx)
		o.adoptable = &err
	}
	return *o.adoptable
}

func (o *Owner) checkAdoptable(ctx context.Context) error {
	live := reflect.New(reflect.TypeOf(o.object).Elem()).Interface().(client.Object)
	if err := o.env.Live.Get(ctx, client.ObjectKeyFromObject(o.object), live); err != nil {
		return err
	}
	if live.GetUID() != o.ref.UID {
		return fmt.Errorf("original %s %s/%s is gone: got uid %s, wanted %s", o.ref.Kind, live.GetNamespace(), live.GetName(), live.GetUID(), o.ref.UID)
	}
	if at := live.GetDeletionTimestamp(); at != nil {
		return fmt.Errorf("%s/%s has just been deleted at %s", live.GetNamespace(), live.GetName(), at)
	}
	return nil
}
