package reap

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/reap"
)

// related is an object with its kind.
type related struct {
	client.Object
	kind Kind
}

// dependents are all cached objects that name owner. Kinds that were not listed
// yet are left out: one that cannot be listed must not hold up all others.
func (s *kindSet) dependents(ctx context.Context, read client.Reader, owner types.UID) ([]related, error) {
	var out []related
	for _, kind := range s.all() {
		if kind.synced != nil && !kind.synced() {
			continue
		}
		list := kind.NewList()
		if err := read.List(ctx, list, client.MatchingFields{ownersIndex: string(owner)}); err != nil {
			return nil, err
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			out = append(out, related{o.(client.Object), kind})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// owner finds out how an owner is doing, and whether the reference can only be
// to an object of another namespace.
func (c *collector) owner(ctx context.Context, o client.Object, ref metav1.OwnerReference) (standing plan.Owner, elsewhere bool, err error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return plan.Unknown, false, nil
	}
	at := ownerKey{gv.WithKind(ref.Kind), types.NamespacedName{Namespace: o.GetNamespace(), Name: ref.Name}, ref.UID}
	kind, known := c.kinds.get(at.kind.GroupKind())
	switch {
	case !known && c.foreign == nil:
		return plan.Unknown, false, nil
	case known && !kind.Namespaced:
		at.key.Namespace = ""
	case known && at.key.Namespace == "":
		// A cluster-scoped object cannot have this owner.
		return plan.Unknown, c.lives(ctx, kind, ref.UID), nil
	}
	if elsewhere, absent := c.isAbsent(at); absent {
		return plan.Absent, elsewhere, nil
	}
	if !known {
		if c.foundLately(at) {
			return plan.Present, false, nil
		}
		standing, err = c.judge(at, func() (metav1.Object, error) { return c.foreign.Owner(ctx, ref.APIVersion, ref.Kind, at.key) })
		switch standing {
		case plan.Absent:
			c.rememberAbsent(at, false)
		case plan.Present:
			c.rememberPresent(at)
		}
		return standing, false, err
	}
	if c.readable(kind) {
		cached := kind.New()
		if err := c.env.Cache.Get(ctx, at.key, cached); err == nil && cached.GetUID() == ref.UID {
			return standingOf(cached), false, nil
		}
	}
	// The cache may be behind: only the API server says that it is gone.
	standing, err = c.judge(at, func() (metav1.Object, error) {
		owner := kind.New()
		return owner, c.env.Live.Get(ctx, at.key, owner)
	})
	if standing == plan.Absent {
		elsewhere = at.key.Namespace != "" && c.lives(ctx, kind, ref.UID)
		c.rememberAbsent(at, elsewhere)
	}
	return standing, elsewhere, err
}

// ownerKey is an owner as a reference describes it. Anybody may write a UID of
// somebody else's into a reference, so absence is known of the whole only.
type ownerKey struct {
	kind schema.GroupVersionKind
	key  types.NamespacedName
	uid  types.UID
}

func (c *collector) judge(at ownerKey, ask func() (metav1.Object, error)) (plan.Owner, error) {
	owner, err := ask()
	switch {
	case err == nil && owner.GetUID() == at.uid:
		return standingOf(owner), nil
	case err == nil, apierrors.IsNotFound(err):
		return plan.Absent, nil
	case meta.IsNoMatchError(err):
		return plan.Unknown, nil
	}
	return plan.Unknown, err
}

// lives says that an object of the kind has this UID, in whatever namespace.
func (c *collector) lives(ctx context.Context, kind Kind, uid types.UID) bool {
	if !c.readable(kind) {
		return false
	}
	list, found := kind.NewList(), false
	if err := c.env.Cache.List(ctx, list); err != nil {
		return false
	}
	_ = meta.EachListItem(list, func(o runtime.Object) error {
		found = found || o.(client.Object).GetUID() == uid
		return nil
	})
	return found
}

func standingOf(owner metav1.Object) plan.Owner {
	if plan.DeletesDependents(owner) {
		return plan.Waiting
	}
	return plan.Present
}

func (c *collector) isAbsent(at ownerKey) (elsewhere, absent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	elsewhere, absent = c.absent[at]
	return elsewhere, absent
}

func (c *collector) rememberAbsent(at ownerKey, elsewhere bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.absent) >= knownAbsent {
		clear(c.absent)
	}
	c.absent[at] = elsewhere
}

// foundLately says that a foreign owner was there a moment ago.
func (c *collector) foundLately(at ownerKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.present[at]
	return ok && c.env.Clock.Since(found) < trusted
}

func (c *collector) rememberPresent(at ownerKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.present) >= knownAbsent {
		clear(c.present)
	}
	c.present[at] = c.env.Clock.Now()
}

// report says that an object names an owner of another namespace.
func (c *collector) report(kind Kind, o client.Object, ref metav1.OwnerReference) {
	about := &corev1.ObjectReference{
		Kind: kind.GVK.Kind, APIVersion: kind.GVK.GroupVersion().String(),
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(),
	}
	c.env.Events.Event(about, corev1.EventTypeWarning, "OwnerRefInvalidNamespace", fmt.Sprintf(
		"ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
		ref.APIVersion, ref.Kind, o.GetNamespace(), ref.Name, ref.UID, o.GetNamespace()))
}

// onEvent wakes an object whose relations changed; when one is deleted, its
// dependents and the owners that wait for it.
func (s *kindSet) onEvent(kind Kind) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
		if ev.New == nil {
			return append(s.orphans(ctx, read, ev.Old), s.waitingOwners(ctx, read, ev.Old)...)
		}
		o := ev.New
		if o.GetDeletionTimestamp() != nil {
			if ev.Old == nil || ev.Old.GetDeletionTimestamp() == nil || len(ev.Old.GetFinalizers()) != len(o.GetFinalizers()) {
				return append(s.waitingOwners(ctx, read, o), request(kind, o))
			}
			return nil
		}
		if ev.Old == nil && len(o.GetOwnerReferences()) == 0 {
			return nil
		}
		if ev.Old != nil && sameOwners(ev.Old, o) {
			return nil
		}
		out := []reconcile.Request{request(kind, o)}
		if ev.Old != nil { // an owner may wait for it no more
			out = append(out, s.waitingOwners(ctx, read, ev.Old)...)
		}
		return out
	}
}

func sameOwners(a, b client.Object) bool {
	x, y := a.GetOwnerReferences(), b.GetOwnerReferences()
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].UID != y[i].UID || (x[i].BlockOwnerDeletion != nil && *x[i].BlockOwnerDeletion) != (y[i].BlockOwnerDeletion != nil && *y[i].BlockOwnerDeletion) {
			return false
		}
	}
	return true
}

func (s *kindSet) orphans(ctx context.Context, read client.Reader, owner client.Object) []reconcile.Request {
	found, err := s.dependents(ctx, read, owner.GetUID())
	if err != nil {
		return nil
	}
	out := make([]reconcile.Request, 0, len(found))
	for _, d := range found {
		out = append(out, request(d.kind, d.Object))
	}
	return out
}

func (s *kindSet) waitingOwners(ctx context.Context, read client.Reader, o client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, ref := range o.GetOwnerReferences() {
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err != nil {
			continue
		}
		kind, ok := s.get(schema.GroupKind{Group: gv.Group, Kind: ref.Kind})
		if !ok || (kind.synced != nil && !kind.synced()) {
			continue
		}
		key := types.NamespacedName{Namespace: o.GetNamespace(), Name: ref.Name}
		if !kind.Namespaced {
			key.Namespace = ""
		}
		owner := kind.New()
		if err := read.Get(ctx, key, owner); err == nil && plan.DeletesDependents(owner) {
			out = append(out, request(kind, owner))
		}
	}
	return out
}
