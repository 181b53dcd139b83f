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

// follower implements loop.Kinds on the shared cache, for one loop.
type follower struct {
	shared cache.Cache
	mapper *growingMapper
	source *source

	mu       sync.Mutex
	followed map[loop.KindKey]toolscache.SharedIndexInformer
}

// Follow implements loop.Kinds.
func (f *follower) Follow(ctx context.Context, resource schema.GroupVersionResource, namespaced bool, watch loop.Watch, indexes ...loop.Index) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := loop.KeyOf(watch.Kind)
	if f.followed[key] != nil {
		return nil
	}
	f.mapper.add(key.GVK, resource, namespaced)
	added := informerSet{}
	if err := added.add(ctx, f.shared, watch.Kind); err != nil {
		return fmt.Errorf("watch %s: %w", resource, err)
	}
	for _, index := range indexes {
		if err := f.shared.IndexField(ctx, index.Kind, index.Field, index.Keys); err != nil {
			return fmt.Errorf("index %s by %s: %w", resource, index.Field, err)
		}
	}
	if err := f.source.listen(added[key], watch); err != nil {
		return fmt.Errorf("watch %s: %w", resource, err)
	}
	f.followed[key] = added[key]
	return nil
}

// Drop implements loop.Kinds.
func (f *follower) Drop(ctx context.Context, kind client.Object) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := loop.KeyOf(kind)
	if f.followed[key] == nil {
		return nil
	}
	delete(f.followed, key)
	return f.shared.RemoveInformer(ctx, kind)
}

// Synced implements loop.Kinds.
func (f *follower) Synced(kind client.Object) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	informer := f.followed[loop.KeyOf(kind)]
	return informer != nil && informer.HasSynced()
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
