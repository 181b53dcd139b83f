package reap

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

var definitions = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// definitionPrefix marks the keys that stand for a definition, not an object.
const definitionPrefix = "define/"

const (
	// syncing is how long an object waits for the first list of a custom kind.
	syncing = 100 * time.Millisecond
	// listedWithin is how long deletions wait for such a list: a definition
	// whose objects cannot be listed must not hold them up for ever.
	listedWithin = 30 * time.Second
)

// custom is a followed kind.
type custom struct {
	kind  Kind
	since time.Time
}

// onDefinition wakes the loop for a definition besides what next does with it
// as an object like any other.
func onDefinition(next func(context.Context, client.Reader, loop.Event) []reconcile.Request) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
		name := types.NamespacedName{Name: definitionPrefix + ev.Object().GetName()}
		return append(next(ctx, read, ev), reconcile.Request{NamespacedName: name})
	}
}

// followAll follows what was defined before the loop began, once, so that no
// deletion is decided on without the dependents of custom kinds.
func (c *collector) followAll(ctx context.Context) error {
	c.mu.Lock()
	begun := c.begun
	c.mu.Unlock()
	kind, ok := c.kinds.get(definitions)
	if begun || !ok {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GVK.GroupVersion().WithKind(kind.GVK.Kind + "List"))
	if err := c.env.Cache.List(ctx, list); err != nil {
		return fmt.Errorf("list the definitions of custom kinds: %w", err)
	}
	for i := range list.Items {
		if err := c.follow(ctx, list.Items[i].Name); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	return nil
}

// follow makes the followed kinds what the definition says.
func (c *collector) follow(ctx context.Context, name string) error {
	defined, err := c.foreign.Definition(ctx, name)
	if err != nil {
		return fmt.Errorf("read the definition %s: %w", name, err)
	}
	c.mu.Lock()
	have, followed := c.customs[name]
	c.mu.Unlock()
	if followed && (defined == nil || defined.GVK != have.kind.GVK) {
		c.kinds.remove(have.kind.GVK.GroupKind())
		c.mu.Lock()
		delete(c.customs, name)
		c.mu.Unlock()
		if err := c.env.Kinds.Drop(ctx, have.kind.New()); err != nil {
			return fmt.Errorf("follow %s no more: %w", name, err)
		}
		followed = false
	}
	if followed || defined == nil {
		return nil
	}
	if _, taken := c.kinds.get(defined.GVK.GroupKind()); taken {
		return nil // a built-in kind, or another definition's
	}
	kind := c.kindOf(defined)
	gvr := defined.GVK.GroupVersion().WithResource(defined.Resource)
	watch := loop.Watch{Kind: kind.New(), Map: c.kinds.onEvent(kind)}
	index := loop.Index{Kind: kind.New(), Field: ownersIndex, Keys: ownerUIDs}
	if err := c.env.Kinds.Follow(ctx, gvr, defined.Namespaced, watch, index); err != nil {
		return fmt.Errorf("follow %s: %w", name, err)
	}
	c.mu.Lock()
	c.customs[name] = custom{kind: kind, since: c.env.Clock.Now()}
	c.mu.Unlock()
	c.kinds.put(kind)
	return nil
}

func (c *collector) kindOf(defined *Custom) Kind {
	kind := Kind{
		GVK: defined.GVK, Namespaced: defined.Namespaced,
		New: func() client.Object {
			o := &metav1.PartialObjectMetadata{}
			o.SetGroupVersionKind(defined.GVK)
			return o
		},
		NewList: func() client.ObjectList {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(defined.GVK.GroupVersion().WithKind(defined.GVK.Kind + "List"))
			return list
		},
	}
	kind.synced = func() bool { return c.env.Kinds.Synced(kind.New()) }
	return kind
}

// readable says that the cache answers for a kind.
func (c *collector) readable(kind Kind) bool { return kind.synced == nil || kind.synced() }

// fresh says that a custom kind that was just defined is not listed yet.
func (c *collector) fresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, custom := range c.customs {
		if !c.readable(custom.kind) && c.env.Clock.Since(custom.since) < listedWithin {
			return true
		}
	}
	return false
}
