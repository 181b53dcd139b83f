// Package poolrange tells which addresses are pods': those of all address pools,
// of which each may lie outside the cluster's own ranges.
package poolrange

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Watcher follows the pools.
type Watcher struct {
	pools   cache.SharedIndexInformer
	synced  cache.DoneChecker
	changed func([]address.Span)

	mu   sync.Mutex
	last []address.Span
}

// New prepares a watcher that calls changed, one at a time, with the addresses of
// all pools whenever they have changed.
func New(config *rest.Config, changed func([]address.Span)) (*Watcher, error) {
	scheme, gv := runtime.NewScheme(), spiderpoolv2beta1.SchemeGroupVersion
	if err := spiderpoolv2beta1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, gv)
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &gv, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for address pools: %w", err)
	}
	source := cache.NewListWatchFromClient(client, "spiderippools", "", fields.Everything())
	w := &Watcher{pools: cache.NewSharedIndexInformer(source, &spiderpoolv2beta1.SpiderIPPool{}, 0, cache.Indexers{}), changed: changed}
	if err := w.pools.SetTransform(slim); err != nil {
		return nil, err
	}
	reg, err := w.pools.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { w.look() }, UpdateFunc: func(any, any) { w.look() }, DeleteFunc: func(any) { w.look() },
	})
	if err != nil {
		return nil, err
	}
	w.synced = reg.HasSyncedChecker()
	return w, nil
}

// Synced says that changed was called for what there is.
func (w *Watcher) Synced() cache.DoneChecker { return w.synced }

// Run follows until ctx is done. Who needs the pools waits for Synced.
func (w *Watcher) Run(ctx context.Context, ready func()) error {
	ready()
	w.pools.RunWithContext(ctx)
	return nil
}

// slim keeps of a pool what says its addresses.
func slim(obj any) (any, error) {
	if p, ok := obj.(*spiderpoolv2beta1.SpiderIPPool); ok {
		p.ObjectMeta = metav1.ObjectMeta{Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion}
		p.Status = spiderpoolv2beta1.IPPoolStatus{}
	}
	return obj, nil
}

func (w *Watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var pools []*spiderpoolv2beta1.SpiderIPPool
	for _, obj := range w.pools.GetStore().List() {
		if p, ok := obj.(*spiderpoolv2beta1.SpiderIPPool); ok {
			pools = append(pools, p)
		}
	}
	if all := spansOf(pools); !slices.Equal(all, w.last) {
		w.last = all
		w.changed(all)
	}
}

// spansOf are the addresses of pools; what cannot be read has none.
func spansOf(pools []*spiderpoolv2beta1.SpiderIPPool) []address.Span {
	var all []address.Span
	for _, p := range pools {
		if spans, err := address.ParseSpans(p.Spec.IPs); err == nil {
			all = append(all, spans...)
		}
	}
	return address.Merge(all)
}
