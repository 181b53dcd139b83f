package dns

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/kubernetes"
	"github.com/coredns/coredns/plugin/kubernetes/object"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// records answers CoreDNS' kubernetes plugin from informers that other parts of
// the node watch too. It holds what the plugin needs of each object, indexed by
// name and by address, and follows each event at once.
type records struct {
	services, slices, namespaces cache.Indexer
	synced                       []cache.DoneChecker
	changed                      atomic.Int64 // unix seconds of the last change
	clock                        clock.PassiveClock
}

const (
	byName     = "name"     // "<name>.<namespace>" of the Service
	byAddress  = "address"  // cluster IP or endpoint address
	byExternal = "external" // external IP
)

// newRecords registers with the informers; the caller starts them.
func newRecords(f informers.SharedInformerFactory, c clock.PassiveClock) (*records, error) {
	r := &records{
		clock: c,
		services: cache.NewIndexer(key, cache.Indexers{
			byName:     index(func(s *object.Service) []string { return []string{s.Index} }),
			byAddress:  index(func(s *object.Service) []string { return s.ClusterIPs }),
			byExternal: index(func(s *object.Service) []string { return s.ExternalIPs }),
		}),
		slices: cache.NewIndexer(key, cache.Indexers{
			byName:    index(func(e *object.Endpoints) []string { return []string{e.Index} }),
			byAddress: index(func(e *object.Endpoints) []string { return e.IndexIP }),
		}),
		namespaces: cache.NewIndexer(key, cache.Indexers{}),
	}
	return r, errors.Join(
		follow(r, f.Core().V1().Services().Informer(), r.services, func(s *corev1.Service) (metav1.Object, error) {
			own := *s // the conversion empties what it is given
			return object.ToService(&own)
		}),
		follow(r, f.Discovery().V1().EndpointSlices().Informer(), r.slices, func(s *discoveryv1.EndpointSlice) (metav1.Object, error) {
			own := *s
			return object.EndpointSliceToEndpoints(&own)
		}),
		follow(r, f.Core().V1().Namespaces().Informer(), r.namespaces, func(n *corev1.Namespace) (metav1.Object, error) {
			own := *n
			return object.ToNamespace(&own)
		}),
	)
}

// follow keeps store in step with an informer.
func follow[T any](r *records, informer cache.SharedIndexInformer, store cache.Indexer, convert func(T) (metav1.Object, error)) error {
	put := func(obj any) {
		if o, ok := obj.(T); ok {
			if small, err := convert(o); err == nil {
				_ = store.Update(small) // fails only without a key
				r.changed.Store(r.clock.Now().Unix())
			}
		}
	}
	reg, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, obj any) { put(obj) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(T); ok {
				if small, err := convert(o); err == nil {
					_ = store.Delete(small)
					r.changed.Store(r.clock.Now().Unix())
				}
			}
		},
	})
	if err == nil {
		r.synced = append(r.synced, reg.HasSyncedChecker())
	}
	return err
}

func key(obj any) (string, error) { return cache.MetaNamespaceKeyFunc(obj) }

func index[T any](keys func(T) []string) cache.IndexFunc {
	return func(obj any) ([]string, error) { return keys(obj.(T)), nil }
}

func all[T any](store cache.Indexer) []T { return typed[T](store.List()) }

func found[T any](store cache.Indexer, name, value string) []T {
	objs, err := store.ByIndex(name, value)
	if err != nil {
		return nil
	}
	return typed[T](objs)
}

func typed[T any](objs []any) []T {
	out := make([]T, len(objs))
	for i, o := range objs {
		out[i] = o.(T)
	}
	return out
}

func (r *records) ServiceList() []*object.Service     { return all[*object.Service](r.services) }
func (r *records) EndpointsList() []*object.Endpoints { return all[*object.Endpoints](r.slices) }

func (r *records) SvcIndex(name string) []*object.Service {
	return found[*object.Service](r.services, byName, name)
}

func (r *records) SvcIndexReverse(ip string) []*object.Service {
	return found[*object.Service](r.services, byAddress, ip)
}

func (r *records) SvcExtIndexReverse(ip string) []*object.Service {
	return found[*object.Service](r.services, byExternal, ip)
}

func (r *records) EpIndex(name string) []*object.Endpoints {
	return found[*object.Endpoints](r.slices, byName, name)
}

func (r *records) EpIndexReverse(ip string) []*object.Endpoints {
	return found[*object.Endpoints](r.slices, byAddress, ip)
}

func (r *records) GetNamespaceByName(name string) (*object.Namespace, error) {
	obj, ok, err := r.namespaces.GetByKey(name)
	if err != nil || !ok {
		return nil, errors.New("namespace not found")
	}
	return obj.(*object.Namespace), nil
}

func (r *records) HasSynced() bool {
	for _, synced := range r.synced {
		if !cache.IsDone(synced) {
			return false
		}
	}
	return true
}

// Modified is the zone's serial.
func (r *records) Modified(kubernetes.ModifiedMode) int64 { return r.changed.Load() }

// Run and Stop do nothing: the informers belong to the node.
func (r *records) Run()        {}
func (r *records) Stop() error { return nil }

// Not served: multi-cluster services, pod records checked against pods, federation.
func (r *records) ServiceImportList() []*object.ServiceImport       { return nil }
func (r *records) SvcImportIndex(string) []*object.ServiceImport    { return nil }
func (r *records) McEpIndex(string) []*object.MultiClusterEndpoints { return nil }
func (r *records) PodIndex(string) []*object.Pod                    { return nil }
func (r *records) GetNodeByName(context.Context, string) (*corev1.Node, error) {
	return nil, errors.New("nodes have no records")
}
