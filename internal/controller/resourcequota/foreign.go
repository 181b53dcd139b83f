package resourcequota

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/quota/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api/quota"
	"berth.dev/berth/internal/controller/loop"
)

const (
	// syncing is how long a quota waits for the first list of a kind that was
	// just followed, at most for patience: a kind that cannot be listed is
	// looked at again after recheck.
	syncing  = 100 * time.Millisecond
	patience = 10 * time.Second
	recheck  = 30 * time.Second
)

// servedKinds are the kinds that a quota limits and that are not in the shared
// cache.
type servedKinds struct {
	kinds []metav1.APIResource
	// again is when to ask again for one that was defined a moment ago.
	again time.Duration
}

// served asks which foreign kinds a quota limits; mostly there is nothing to ask.
func (c counter) served(ctx context.Context, q *corev1.ResourceQuota) (servedKinds, error) {
	unknown := c.unknown(q)
	if len(unknown) == 0 || c.foreign == nil {
		return servedKinds{}, nil
	}
	var out servedKinds
	all, err := c.foreign.Kinds(ctx)
	for _, kind := range all {
		r := schema.GroupResource{Group: kind.Group, Resource: kind.Name}
		i := slices.Index(unknown, r)
		if i >= 0 && hasAll(kind.Verbs, countable) {
			out.kinds = append(out.kinds, kind)
			unknown = slices.Delete(unknown, i, i+1)
		}
	}
	if len(unknown) == 0 {
		return out, nil
	}
	for _, r := range unknown {
		out.again = loop.Sooner(out.again, c.defined(ctx, r))
	}
	return out, err
}

// unknown are the limited kinds that nobody knows beforehand.
func (c counter) unknown(q *corev1.ResourceQuota) []schema.GroupResource {
	var out []schema.GroupResource
	for _, name := range v1.ResourceNames(q.Spec.Hard) {
		r, ok := custom(name)
		_, ignored := quota.Ignored()[r]
		if ok && !ignored && !slices.ContainsFunc(c.kinds, func(k Kind) bool { return k.Resource == r }) {
			out = append(out, r)
		}
	}
	return out
}

// Definition is the kind of the objects that define custom kinds.
var Definition = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// defined says when to look again for a kind that is defined and not served:
// soon while it may be on its way, for its last event may come before it.
func (c counter) defined(ctx context.Context, r schema.GroupResource) time.Duration {
	definition := c.definition(ctx, r)
	if definition == nil {
		return 0 // its definition will be seen
	}
	if c.env.Clock.Since(definition.CreationTimestamp.Time) < patience {
		return syncing
	}
	return recheck
}

// definition is what defines a custom kind, nil if nothing does.
func (c counter) definition(ctx context.Context, r schema.GroupResource) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(Definition)
	if err := c.env.Cache.Get(ctx, types.NamespacedName{Name: r.String()}, o); err != nil {
		return nil
	}
	return o
}

// followed is a foreign kind whose objects are watched, for these quotas.
type followed struct {
	kind   metav1.APIResource
	custom bool // defined by an object, not served by another server
	quotas map[types.NamespacedName]bool
	since  time.Time
}

// withoutGone leaves out custom kinds that are not defined any more, although
// they may be served for another moment: nothing would say when that ends.
func (c *controller) withoutGone(ctx context.Context, kinds []metav1.APIResource) []metav1.APIResource {
	c.following.Lock()
	defer c.following.Unlock()
	return slices.DeleteFunc(kinds, func(k metav1.APIResource) bool {
		r := schema.GroupResource{Group: k.Group, Resource: k.Name}
		f := c.followed[r]
		return f != nil && f.custom && c.counter.definition(ctx, r) == nil
	})
}

// follow watches what a quota limits, and what none limits no more.
func (c *controller) follow(ctx context.Context, key types.NamespacedName, kinds []metav1.APIResource) error {
	if c.env.Kinds == nil {
		return nil
	}
	c.following.Lock()
	defer c.following.Unlock()
	for r, f := range c.followed {
		i := slices.IndexFunc(kinds, func(k metav1.APIResource) bool { return k.Group == r.Group && k.Name == r.Resource })
		switch {
		case i >= 0 && kinds[i].Version == f.kind.Version && kinds[i].Kind == f.kind.Kind:
			continue
		case i >= 0:
			clear(f.quotas) // each of them comes by again
		default:
			delete(f.quotas, key)
		}
		if len(f.quotas) > 0 {
			continue
		}
		if err := c.env.Kinds.Drop(ctx, metadataOf(f.kind)); err != nil {
			return fmt.Errorf("watch %s no more: %w", r, err)
		}
		delete(c.followed, r)
	}
	for _, kind := range kinds {
		r := schema.GroupResource{Group: kind.Group, Resource: kind.Name}
		f := c.followed[r]
		if f == nil {
			watch := loop.Watch{Kind: metadataOf(kind), Map: onObject(r)}
			if err := c.env.Kinds.Follow(ctx, r.WithVersion(kind.Version), kind.Namespaced, watch); err != nil {
				return fmt.Errorf("watch %s: %w", r, err)
			}
			f = &followed{kind: kind, custom: c.counter.definition(ctx, r) != nil, quotas: map[types.NamespacedName]bool{}, since: c.env.Clock.Now()}
			c.followed[r] = f
		}
		f.quotas[key] = true
	}
	return nil
}

// settling says when to count again because a kind is not listed yet: what goes
// before that is seen by no watch. Without watches it is time that tells.
func (c *controller) settling(kinds []metav1.APIResource) time.Duration {
	c.following.Lock()
	defer c.following.Unlock()
	again := time.Duration(0)
	for _, kind := range kinds {
		f := c.followed[schema.GroupResource{Group: kind.Group, Resource: kind.Name}]
		switch {
		case f != nil && c.env.Kinds.Synced(metadataOf(kind)):
		case f != nil && c.env.Clock.Since(f.since) < patience:
			again = loop.Sooner(again, syncing)
		default:
			again = loop.Sooner(again, recheck)
		}
	}
	return again
}

// foreignKind counts one foreign kind.
type foreignKind struct {
	metav1.APIResource
	read func(ctx context.Context, namespace string) ([]metav1.PartialObjectMetadata, error)
}

func (k foreignKind) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Name}
}

func (k foreignKind) list(ctx context.Context) quota.List {
	return func(_ schema.GroupResource, namespace string) ([]runtime.Object, error) {
		items, err := k.read(ctx, namespace)
		objects := make([]runtime.Object, 0, len(items))
		for i := range items {
			objects = append(objects, &items[i])
		}
		return objects, err
	}
}

func (c *controller) liveForeign(kinds []metav1.APIResource) []foreignKind {
	out := make([]foreignKind, 0, len(kinds))
	for _, kind := range kinds {
		out = append(out, foreignKind{kind, func(ctx context.Context, namespace string) ([]metav1.PartialObjectMetadata, error) {
			return c.counter.foreign.List(ctx, kind, namespace)
		}})
	}
	return out
}

// cachedForeign reads from the cache what that can answer for.
func (c *controller) cachedForeign(kinds []metav1.APIResource) []foreignKind {
	out := c.liveForeign(kinds)
	for i, kind := range kinds {
		if c.env.Kinds == nil || !c.env.Kinds.Synced(metadataOf(kind)) {
			continue
		}
		out[i].read = func(ctx context.Context, namespace string) ([]metav1.PartialObjectMetadata, error) {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind + "List"})
			err := c.env.Cache.List(ctx, list, client.InNamespace(namespace))
			return list.Items, err
		}
	}
	return out
}

func metadataOf(kind metav1.APIResource) client.Object {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind})
	return o
}
