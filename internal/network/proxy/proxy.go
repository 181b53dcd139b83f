// Package proxy is the service proxy of one node: it keeps the kernel's packet
// rules in step with Services and EndpointSlices. What should be there is
// decided by internal/plan/packet; this package watches, and writes map elements.
package proxy

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/packet"
)

// Config says what to watch and which ranges the fixed rules name.
type Config struct {
	// Informers are shared with other parts of the node; whoever owns them starts them.
	Informers informers.SharedInformerFactory
	// Node gives the zone of NodeName; nil means that it has none.
	Node     cache.SharedIndexInformer
	NodeName string
	Ranges   Ranges
	Log      *slog.Logger
}

// Proxy is one node's service proxy.
type Proxy struct {
	cfg      Config
	services cache.Indexer
	slices   cache.Indexer
	synced   []cache.DoneChecker
	zone     atomic.Pointer[string]
	health   *health

	mu    sync.Mutex
	dirty map[types.NamespacedName]struct{} // Services to look at again
	pools *[]address.Span                   // that are not in force yet
	wake  chan struct{}
}

const byService = "service"

// New registers with the informers, so call it before they are started.
func New(cfg Config) (*Proxy, error) {
	services := cfg.Informers.Core().V1().Services().Informer()
	endpoints := cfg.Informers.Discovery().V1().EndpointSlices().Informer()
	p := &Proxy{
		cfg: cfg, services: services.GetIndexer(), slices: endpoints.GetIndexer(),
		dirty: map[types.NamespacedName]struct{}{}, wake: make(chan struct{}, 1), health: newHealth(cfg.Log),
	}
	err := endpoints.AddIndexers(cache.Indexers{byService: func(obj any) ([]string, error) {
		return []string{serviceOf(obj).String()}, nil
	}})
	if err != nil {
		return nil, err
	}
	for _, informer := range []cache.SharedIndexInformer{services, endpoints} {
		reg, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    p.touch,
			UpdateFunc: func(old, obj any) { p.touch(old); p.touch(obj) },
			DeleteFunc: p.touch,
		})
		if err != nil {
			return nil, err
		}
		p.synced = append(p.synced, reg.HasSyncedChecker())
	}
	return p, p.watchZone()
}

// watchZone looks at all Services again when the node's zone changes.
func (p *Proxy) watchZone() error {
	if p.cfg.Node == nil {
		return nil
	}
	put := func(obj any) {
		node, ok := obj.(*corev1.Node)
		if !ok || node.Name != p.cfg.NodeName {
			return
		}
		zone := node.Labels[corev1.LabelTopologyZone]
		if old := p.zone.Swap(&zone); old != nil && *old == zone {
			return
		}
		for _, svc := range p.services.List() {
			p.touch(svc)
		}
	}
	_, err := p.cfg.Node.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: put, UpdateFunc: func(_, obj any) { put(obj) }})
	return err
}

// serviceOf names the Service that an object belongs to.
func serviceOf(obj any) types.NamespacedName {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	switch o := obj.(type) {
	case *corev1.Service:
		return types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
	case *discoveryv1.EndpointSlice:
		return types.NamespacedName{Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}
	}
	return types.NamespacedName{}
}

func (p *Proxy) touch(obj any) {
	p.mu.Lock()
	p.dirty[serviceOf(obj)] = struct{}{}
	p.mu.Unlock()
	p.signal()
}

// WaitFor has the first rules wait for what is to be known by then. Call it before Run.
func (p *Proxy) WaitFor(known cache.DoneChecker) { p.synced = append(p.synced, known) }

// SetPools says which addresses pods may have beside the cluster's ranges.
func (p *Proxy) SetPools(spans []address.Span) {
	p.mu.Lock()
	p.pools = &spans
	p.mu.Unlock()
	p.signal()
}

func (p *Proxy) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run keeps the rules until ctx is done; they stay in the kernel after that, so
// Services work while berth restarts. ready is called when the first full set
// of rules is in force.
func (p *Proxy) Run(ctx context.Context, ready func()) error {
	if !cache.WaitFor(ctx, "", p.synced...) {
		return nil
	}
	conn, err := nft.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseLasting() }()
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.health.close()
	flows := newFlows(p.cfg.Log)
	helpers.Go(func() { flows.run(ctx) })
	book := packet.NewBook()
	book.Update(p.tables(p.take()))
	ranges := p.cfg.Ranges
	p.takePools(&ranges)
	kernel, err := open(conn, ranges, book.Elements)
	if err != nil {
		return err
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		began := time.Now()
		if p.takePools(&ranges) {
			if err := kernel.setPods(ranges.pods()); err != nil {
				p.cfg.Log.Warn("service rules are loaded anew", "err", err)
				if kernel, err = open(conn, ranges, book.Elements); err != nil {
					return err
				}
			}
		}
		changed := p.take()
		changes := book.Update(p.tables(changed))
		for _, c := range changes {
			if err := kernel.apply(c); err != nil {
				// The kernel's maps differ from what we believe (someone changed
				// them): load everything again.
				p.cfg.Log.Warn("service rules are loaded anew", "err", err)
				if kernel, err = open(conn, ranges, book.Elements); err != nil {
					return err
				}
				break
			}
		}
		// Connections are let go of once nothing leads there any more.
		for _, c := range changes {
			flows.drop(c.Stale)
		}
		p.cfg.Log.Debug("service rules", "services", len(changed), "changes", len(changes), "took", time.Since(began))
	}
}

// take returns the Services to look at, and forgets them.
func (p *Proxy) take() map[types.NamespacedName]struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.dirty
	p.dirty = map[types.NamespacedName]struct{}{}
	return taken
}

// takePools reports whether the pools have changed.
func (p *Proxy) takePools(r *Ranges) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pools == nil {
		return false
	}
	r.Pools, p.pools = *p.pools, nil
	return true
}

// tables are the parts of the packet table that the named Services make now.
func (p *Proxy) tables(names map[types.NamespacedName]struct{}) map[types.NamespacedName]packet.Table {
	out := make(map[types.NamespacedName]packet.Table, len(names))
	for name := range names {
		svc, slicesOf := p.observe(name)
		if svc == nil {
			out[name] = nil
			p.health.set(name, packet.Health{})
			continue
		}
		out[name] = packet.Service(p.node(), svc, slicesOf)
		h, _ := packet.HealthOf(p.node(), svc, slicesOf)
		p.health.set(name, h)
	}
	return out
}

// observe reads a Service and its slices; nil when there is none.
func (p *Proxy) observe(name types.NamespacedName) (*corev1.Service, []*discoveryv1.EndpointSlice) {
	obj, ok, err := p.services.GetByKey(name.String())
	if err != nil || !ok {
		return nil, nil
	}
	objs, err := p.slices.ByIndex(byService, name.String())
	if err != nil {
		return nil, nil
	}
	slicesOf := make([]*discoveryv1.EndpointSlice, len(objs))
	for i, o := range objs {
		slicesOf[i] = o.(*discoveryv1.EndpointSlice)
	}
	return obj.(*corev1.Service), slicesOf
}

// node is where we are, as far as is known.
func (p *Proxy) node() packet.Node {
	n := packet.Node{Name: p.cfg.NodeName}
	if zone := p.zone.Load(); zone != nil {
		n.Zone = *zone
	}
	return n
}
