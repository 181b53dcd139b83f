package host

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// following are the kinds that loops follow beyond those that they declared.
// Loops share the informer of a kind; the last to drop it stops it.
type following struct {
	mapper *growingMapper

	mu    sync.Mutex
	kinds map[loop.KindKey]*followed
}

type followed struct {
	informer toolscache.SharedIndexInformer
	loops    int
	indexed  map[string]bool
}

// follower implements loop.Kinds for one loop.
type follower struct {
	all    *following
	shared cache.Cache
	source *source

	handlers map[loop.KindKey]toolscache.ResourceEventHandlerRegistration // under all.mu
}

// Follow implements loop.Kinds.
func (f *follower) Follow(ctx context.Context, resource schema.GroupVersionResource, namespaced bool, watch loop.Watch, indexes ...loop.Index) error {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	key := loop.KeyOf(watch.Kind)
	if f.handlers[key] != nil {
		return nil
	}
	kind := f.all.kinds[key]
	if kind == nil {
		f.all.mapper.add(key.GVK, resource, namespaced)
		added := informerSet{}
		if err := added.add(ctx, f.shared, watch.Kind); err != nil {
			return fmt.Errorf("watch %s: %w", resource, err)
		}
		kind = &followed{informer: added[key], indexed: map[string]bool{}}
		f.all.kinds[key] = kind
	}
	for _, index := range indexes {
		if kind.indexed[index.Field] {
			continue
		}
		if err := f.shared.IndexField(ctx, index.Kind, index.Field, index.Keys); err != nil {
			return fmt.Errorf("index %s by %s: %w", resource, index.Field, err)
		}
		kind.indexed[index.Field] = true
	}
	handler, err := f.source.listen(kind.informer, watch)
	if err != nil {
		return fmt.Errorf("watch %s: %w", resource, err)
	}
	f.handlers[key] = handler
	kind.loops++
	return nil
}

// Drop implements loop.Kinds.
func (f *follower) Drop(ctx context.Context, kind client.Object) error {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	key := loop.KeyOf(kind)
	handler := f.handlers[key]
	if handler == nil {
		return nil
	}
	delete(f.handlers, key)
	rest := f.all.kinds[key]
	if rest.loops--; rest.loops > 0 {
		return rest.informer.RemoveEventHandler(handler)
	}
	delete(f.all.kinds, key)
	return f.shared.RemoveInformer(ctx, kind)
}

// Synced implements loop.Kinds.
func (f *follower) Synced(kind client.Object) bool {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	key := loop.KeyOf(kind)
	return f.handlers[key] != nil && f.all.kinds[key].informer.HasSynced()
}

// growingMapper maps the kinds that were known at the start, and those that
// loops follow since.
type growingMapper struct {
	meta.RESTMapper

	mu    sync.RWMutex
	grown map[schema.GroupVersionKind]*meta.RESTMapping
}

func (m *growingMapper) add(kind schema.GroupVersionKind, resource schema.GroupVersionResource, namespaced bool) {
	mapping := &meta.RESTMapping{Resource: resource, GroupVersionKind: kind, Scope: meta.RESTScopeRoot}
	if namespaced {
		mapping.Scope = meta.RESTScopeNamespace
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.grown[kind] = mapping
}

// RESTMapping implements meta.RESTMapper; it is all that the clients ask.
func (m *growingMapper) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	m.mu.RLock()
	for _, version := range versions {
		if mapping := m.grown[gk.WithVersion(version)]; mapping != nil {
			m.mu.RUnlock()
			return mapping, nil
		}
	}
	m.mu.RUnlock()
	return m.RESTMapper.RESTMapping(gk, versions...)
}
