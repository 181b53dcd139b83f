package reap

import (
	"context"

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

// dependents are all cached objects that name owner.
func (s kindSet) dependents(ctx context.Context, read client.Reader, owner types.UID) ([]related, error) {
	var out []related
	for _, kind := range s {
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

// owner finds out how an owner is doing.
func (c *collector) owner(ctx context.Context, o client.Object, ref metav1.OwnerReference) (plan.Owner, error) {
	if c.isAbsent(ref.UID) {
		return plan.Absent, nil
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return plan.Unknown, nil
	}
	key := types.NamespacedName{Namespace: o.GetNamespace(), Name: ref.Name}
	kind, known := c.kinds[schema.GroupKind{Group: gv.Group, Kind: ref.Kind}]
	if !known {
		if c.foreign == nil {
			return plan.Unknown, nil
		}
		return c.judge(ref, func() (metav1.Object, error) { return c.foreign.Owner(ctx, ref.APIVersion, ref.Kind, key) })
	}
	if !kind.Namespaced {
		key.Namespace = ""
	} else if key.Namespace == "" {
		return plan.Unknown, nil // a cluster-scoped object cannot have this owner
	}
	cached := kind.New()
	if err := c.env.Cache.Get(ctx, key, cached); err == nil && cached.GetUID() == ref.UID {
		return standing(cached), nil
	}
	// The cache may be behind: only the API server says that it is gone.
	return c.judge(ref, func() (metav1.Object, error) {
		owner := kind.New()
		return owner, c.env.Live.Get(ctx, key, owner)
	})
}

func (c *collector) judge(ref metav1.OwnerReference, ask func() (metav1.Object, error)) (plan.Owner, error) {
	owner, err := ask()
	switch {
	case err == nil && owner.GetUID() == ref.UID:
		return standing(owner), nil
	case err == nil, apierrors.IsNotFound(err):
		c.rememberAbsent(ref.UID)
		return plan.Absent, nil
	case meta.IsNoMatchError(err):
		return plan.Unknown, nil
	}
	return plan.Unknown, err
}

func standing(owner metav1.Object) plan.Owner {
	if plan.DeletesDependents(owner) {
		return plan.Waiting
	}
	return plan.Present
}

func (c *collector) isAbsent(uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.absent[uid]
}

func (c *collector) rememberAbsent(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.absent) >= knownAbsent {
		clear(c.absent)
	}
	c.absent[uid] = true
}

// onEvent wakes an object whose relations changed; when one is deleted, its
// dependents and the owners that wait for it.
func (s kindSet) onEvent(kind Kind) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
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
		return []reconcile.Request{request(kind, o)}
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

func (s kindSet) orphans(ctx context.Context, read client.Reader, owner client.Object) []reconcile.Request {
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

func (s kindSet) waitingOwners(ctx context.Context, read client.Reader, o client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, ref := range o.GetOwnerReferences() {
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err != nil {
			continue
		}
		kind, ok := s[schema.GroupKind{Group: gv.Group, Kind: ref.Kind}]
		if !ok {
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
