package apiserver

import (
	"context"
	"net/http"

	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/server/mux"
	etcd3metrics "k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // rest_client_*, as upstream has it
	_ "k8s.io/component-base/metrics/prometheus/version"    // kubernetes_build_info

	"berth.dev/berth/internal/datastore"
)

// counted are the stores whose objects /metrics counts. Upstream counts them
// every minute; here a scrape does, so that a server nobody scrapes does not.
type counted []*genericregistry.Store

func (c counted) install(mux *mux.PathRecorderMux, store *datastore.Store) {
	etcd3metrics.SetStorageMonitorGetter(func() ([]etcd3metrics.Monitor, error) {
		return []etcd3metrics.Monitor{size{store}}, nil
	})
	metrics := legacyregistry.HandlerWithReset()
	mux.Unregister("/metrics")
	mux.Handle("/metrics", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			c.count(req.Context())
		}
		metrics.ServeHTTP(w, req)
	}))
}

func (c counted) count(ctx context.Context) {
	for _, store := range c {
		stats, err := store.Storage.Stats(ctx)
		etcd3metrics.UpdateStoreStats(store.DefaultQualifiedResource, stats, err)
	}
}

// size reports how large the datastore is.
type size struct{ store *datastore.Store }

// Monitor implements etcd3metrics.Monitor.
func (s size) Monitor(ctx context.Context) (etcd3metrics.StorageMetrics, error) {
	n, err := s.store.Size(ctx)
	return etcd3metrics.StorageMetrics{Size: n}, err
}

// Close implements etcd3metrics.Monitor.
func (size) Close() error { return nil }
