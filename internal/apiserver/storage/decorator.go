package storage

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// uncached stores a resource in etcd.
func (b *Backend) uncached(
	config *storagebackend.ConfigForResource, resourcePrefix string,
	_ func(runtime.Object) (string, error),
	newObject, newList func() runtime.Object,
	_ storage.AttrFunc, _ storage.IndexerFuncs, _ *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	versioner := storage.APIObjectVersioner{}
	s, err := etcd3.New(b.client, b.compactor, config.Codec, newObject, newList, config.Prefix, resourcePrefix,
		config.GroupResource, config.Transformer, config.LeaseManagerConfig,
		etcd3.NewDefaultDecoder(config.Codec, versioner), versioner)
	if err != nil {
		return nil, nil, err
	}
	return s, sync.OnceFunc(s.Close), nil
}

// cached stores a resource in etcd and serves it from memory once it is watched.
func (b *Backend) cached(
	config *storagebackend.ConfigForResource, resourcePrefix string,
	key func(runtime.Object) (string, error),
	newObject, newList func() runtime.Object,
	attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	raw, destroy, err := b.uncached(config, resourcePrefix, key, newObject, newList, attrs, triggers, indexers)
	if err != nil {
		return nil, nil, err
	}
	o := &onDemand{Interface: raw, config: cacher.Config{
		Storage:             early{raw},
		Versioner:           storage.APIObjectVersioner{},
		GroupResource:       config.GroupResource,
		EventsHistoryWindow: config.EventsHistoryWindow,
		ResourcePrefix:      resourcePrefix,
		KeyFunc:             key,
		NewFunc:             newObject,
		NewListFunc:         newList,
		GetAttrsFunc:        attrs,
		IndexerFuncs:        triggers,
		Indexers:            indexers,
		Codec:               config.Codec,
		Clock:               promptClock{},
	}}
	return o, sync.OnceFunc(func() {
		o.stop()
		destroy()
	}), nil
}
