// Package proxy is the service proxy of one node: it keeps the kernel's packet
// rules in step with Services and EndpointSlices. What should be there is
// decided by internal/plan/packet; this package watches, and writes map elements.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/plan/packet"
)

// socketBuffer holds a transaction of many thousand elements.
const socketBuffer = 16 << 20

// Config says what to watch and which ranges the fixed rules name.
type Config struct {
	// Informers are shared with other parts of the node; whoever owns them starts them.
	Informers informers.SharedInformerFactory
	Ranges    Ranges
	Log       *slog.Logger
}

// Proxy is one node's service proxy.
type Proxy struct {
	cfg      Config
	services cache.Indexer
	slices   cache.Indexer
	synced   []cache.DoneChecker

	mu    sync.Mutex
	dirty map[types.NamespacedName]struct{} // Services to look at again
	wake  chan struct{}
}

const byService = "service"

// New registers with the informers, so call it before they are started.
func New(cfg Config) (*Proxy, error) {
	services := cfg.Informers.Core().V1().Services().Informer()
	endpoints := cfg.Informers.Discovery().V1().EndpointSlices().Informer()
	p := &Proxy{
		cfg: cfg, services: services.GetIndexer(), slices: endpoints.GetIndexer(),
		dirty: map[types.NamespacedName]struct{}{}, wake: make(chan struct{}, 1),
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
	return p, nil
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
	conn, err := connect()
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseLasting() }()
	state := newState()
	state.update(p, p.take())
	kernel, err := open(conn, p.cfg.Ranges, state.elements)
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
		changed := p.take()
		changes := state.update(p, changed)
		for _, c := range changes {
			if err := kernel.apply(c); err != nil {
				// The kernel's maps differ from what we believe (someone changed
				// them): load everything again.
				p.cfg.Log.Warn("service rules are loaded anew", "err", err)
				if kernel, err = open(conn, p.cfg.Ranges, state.elements); err != nil {
					return err
				}
				break
			}
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

// state is what the proxy believes the kernel to have.
type state struct {
	tables   map[types.NamespacedName]packet.Table
	elements packet.Elements
}

func newState() *state {
	return &state{tables: map[types.NamespacedName]packet.Table{}, elements: packet.NewElements()}
}

// update looks at the named Services again and returns what changed.
func (s *state) update(p *Proxy, names map[types.NamespacedName]struct{}) []packet.Change {
	var changes []packet.Change
	next := map[types.NamespacedName]packet.Table{}
	for name := range names {
		next[name] = p.table(name)
	}
	// A Service that is gone may have left its address to a new one: it goes first.
	order := slices.SortedStableFunc(maps.Keys(next), func(a, b types.NamespacedName) int {
		return cmp.Compare(len(next[a]), len(next[b]))
	})
	for _, name := range order {
		next := next[name]
		if c := s.elements.Replace(s.tables[name], next); !c.Empty() {
			changes = append(changes, c)
		}
		if next == nil {
			delete(s.tables, name)
		} else {
			s.tables[name] = next
		}
	}
	return changes
}

// table is the part of the packet table that a Service makes now.
func (p *Proxy) table(name types.NamespacedName) packet.Table {
	obj, ok, err := p.services.GetByKey(name.String())
	if err != nil || !ok {
		return nil
	}
	objs, err := p.slices.ByIndex(byService, name.String())
	if err != nil {
		return nil
	}
	return packet.Service(obj.(*corev1.Service), each(objs, func(o any) *discoveryv1.EndpointSlice {
		return o.(*discoveryv1.EndpointSlice)
	}))
}

func connect() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer))
	}))
	if err != nil {
		return nil, fmt.Errorf("nftables: %w; the kernel needs nf_tables", err)
	}
	return conn, nil
}
