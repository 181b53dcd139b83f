// Package route leads packets for the pods of other nodes to these nodes. An
// address belongs to a pod and not to a node, so each pod of another node has a
// route of its own: directly where the nodes are on one segment, else by the
// overlay (VXLAN). A node that is alone costs one watch that has nothing to say.
package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// again is when routes that the kernel refused are tried once more.
const again = 10 * time.Second

// Config says which node this is.
type Config struct {
	// Client has the node's identity, which may see nodes and SpiderEndpoints.
	Client   *rest.Config
	NodeName string
	// NodeIPs are what pods see the node's connections come from.
	NodeIPs []netip.Addr
	Log     *slog.Logger
}

// Router is one node's.
type Router struct {
	cfg         Config
	nodes, pods cache.SharedIndexInformer

	mu    sync.Mutex // guards what the informers' handlers touch
	table *table
	peers map[netip.Addr]link.Peer // of the overlay, as the kernel has them
	dirty map[types.NamespacedName]struct{}
	wake  chan struct{}
}

// New prepares a router; it touches nothing.
func New(cfg Config) (*Router, error) {
	r := &Router{cfg: cfg, table: newTable(), peers: map[netip.Addr]link.Peer{}, dirty: map[types.NamespacedName]struct{}{}, wake: make(chan struct{}, 1)}
	var err error
	if r.nodes, err = r.follow(corev1.SchemeGroupVersion, "/api", corev1.AddToScheme, "nodes", "metadata.name", &corev1.Node{}, r.onNode); err != nil {
		return nil, err
	}
	r.pods, err = r.follow(spiderpoolv2beta1.SchemeGroupVersion, "/apis", spiderpoolv2beta1.AddToScheme, "spiderendpoints", "status.current.node", &spiderpoolv2beta1.SpiderEndpoint{}, r.onPod)
	return r, err
}

// follow watches what is not this node's own.
func (r *Router) follow(gv schema.GroupVersion, path string, add func(*runtime.Scheme) error, resource, field string, kind runtime.Object, on func(obj any, gone bool)) (cache.SharedIndexInformer, error) {
	scheme := runtime.NewScheme()
	if err := add(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, gv)
	config := rest.CopyConfig(r.cfg.Client)
	config.GroupVersion, config.APIPath = &gv, path
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", resource, err)
	}
	source := cache.NewListWatchFromClient(client, resource, "", fields.OneTermNotEqualSelector(field, r.cfg.NodeName))
	informer := cache.NewSharedIndexInformer(source, kind, 0, cache.Indexers{})
	if err := informer.SetTransform(slim); err != nil {
		return nil, err
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { on(obj, false) },
		UpdateFunc: func(_, obj any) { on(obj, false) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			on(obj, true)
		},
	})
	return informer, err
}

// slim keeps of an object what a route is made of.
func slim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Node:
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion},
			Status:     corev1.NodeStatus{Addresses: o.Status.Addresses},
		}, nil
	case *spiderpoolv2beta1.SpiderEndpoint:
		networks := o.Annotations[attachment.ResolvedAnnotation]
		o.ObjectMeta = metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
		if networks != "" {
			o.Annotations = map[string]string{attachment.ResolvedAnnotation: networks}
		}
	}
	return obj, nil
}

func (r *Router) onNode(obj any, gone bool) {
	n, ok := obj.(*corev1.Node)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone {
		delete(r.table.nodes, n.Name)
	} else {
		is := nodeOf(addressesOf(n), r.local(), r.near)
		if was, known := r.table.nodes[n.Name]; known && was.equal(is) {
			return
		}
		r.table.nodes[n.Name] = is
	}
	r.touch(r.table.on(n.Name)...)
}

// local is where envelopes for this node arrive.
func (r *Router) local() netip.Addr {
	if len(r.cfg.NodeIPs) == 0 {
		return netip.Addr{}
	}
	return r.cfg.NodeIPs[0]
}

// near asks the kernel. What has no way now may have one later: see Run.
func (r *Router) near(addr netip.Addr) bool {
	near, err := link.Near(addr)
	if err != nil {
		r.cfg.Log.Warn("a node cannot be reached", "error", err)
	}
	return near
}

func (r *Router) onPod(obj any, gone bool) {
	e, ok := obj.(*spiderpoolv2beta1.SpiderEndpoint)
	if !ok {
		return
	}
	name := types.NamespacedName{Namespace: e.Namespace, Name: e.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone {
		delete(r.table.pods, name)
	} else {
		r.table.pods[name] = placeOf(e, func(a netip.Addr) bool { near, err := link.Near(a); return err == nil && near })
	}
	r.touch(name)
}

// touch has pods looked at. The lock is held.
func (r *Router) touch(pods ...types.NamespacedName) {
	for _, name := range pods {
		r.dirty[name] = struct{}{}
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run keeps the routes until ctx is done. They stay in the kernel after that, so
// pods reach each other while berth restarts.
func (r *Router) Run(ctx context.Context, ready func()) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { r.nodes.RunWithContext(ctx) })
	ready()
	if !cache.WaitFor(ctx, "", r.nodes.HasSyncedChecker()) {
		return nil
	}
	if !r.company(ctx) {
		return nil
	}
	running.Go(func() { r.pods.RunWithContext(ctx) })
	if !cache.WaitFor(ctx, "", r.pods.HasSyncedChecker()) {
		return nil
	}
	if err := r.adopt(); err != nil {
		return err
	}
	running.Go(func() { r.watchLinks(ctx) })
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-retry.C:
		}
		if !r.apply() {
			retry.Reset(again)
		}
	}
}

// watchLinks looks at everything again when the machine's own interfaces change:
// a wire that was pulled takes its routes with it, and segments may be others.
func (r *Router) watchLinks(ctx context.Context) {
	for ctx.Err() == nil {
		err := link.Watch(ctx, r.recheck)
		if err == nil {
			return
		}
		r.cfg.Log.Warn("changes of the machine's network may be missed", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(again):
			r.recheck()
		}
	}
}

// recheck compares with the kernel what was made, and where the nodes are.
func (r *Router) recheck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	left, err := link.Vias()
	here, err2 := link.Wired()
	if err := errors.Join(err, err2); err != nil {
		r.cfg.Log.Warn("routes cannot be compared", "error", err)
		return
	}
	for name, was := range r.table.nodes {
		if is := nodeOf(was.addrs, r.local(), r.near); !is.equal(was) {
			r.table.nodes[name] = is
			r.touch(r.table.on(name)...)
		}
	}
	for addr, way := range r.table.made {
		if left[addr] != way && !here[addr] { // a pod that has just come has its wire, and its news under way
			owner := r.table.owner[addr]
			r.table.drop(addr)
			r.touch(owner)
		}
	}
	if there, err := link.Peers(); err == nil {
		for addr := range r.peers {
			if !slices.Contains(there, addr) {
				delete(r.peers, addr)
				r.touch()
			}
		}
	}
}

// company waits until there is another node, or a route that led to one.
func (r *Router) company(ctx context.Context) bool {
	for {
		r.mu.Lock()
		others := len(r.table.nodes)
		r.mu.Unlock()
		if left, err := link.Vias(); others > 0 || err != nil || len(left) > 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.wake:
		}
	}
}

// adopt takes over what an earlier process made; what nobody needs goes.
func (r *Router) adopt() error {
	left, err := link.Vias()
	if err != nil {
		return err
	}
	peers, err := link.Peers()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for addr, way := range left {
		r.table.put(hop{pod: addr, way: way})
	}
	for _, addr := range peers {
		r.peers[addr] = link.Peer{Underlay: addr}
	}
	r.touch(types.NamespacedName{}) // the owner of what has no other
	for name := range r.table.pods {
		r.touch(name)
	}
	return nil
}

// apply brings the kernel up to date; false means that it refused something.
func (r *Router) apply() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pods := r.dirty
	r.dirty = map[types.NamespacedName]struct{}{}
	peers := r.table.peers()
	fine := r.meet(peers)
	del, set := r.table.changes(pods)
	for _, h := range del {
		if err := link.Unroute(h.pod, h.way, r.cfg.NodeIPs); err != nil {
			r.cfg.Log.Warn("a route to a pod is left behind", "error", err)
		}
		r.table.drop(h.pod)
	}
	for _, h := range set {
		if err := link.RouteVia(h.pod, h.way, r.cfg.NodeIPs); err != nil {
			r.cfg.Log.Warn("a pod of another node cannot be reached", "pod", h.owner, "error", err)
			r.dirty[h.owner] = struct{}{}
			fine = false
			continue
		}
		r.table.put(h)
	}
	return r.part(peers) && fine
}

// meet has the overlay lead to these nodes, before routes do.
func (r *Router) meet(peers map[netip.Addr]link.Peer) bool {
	fine, up := true, false
	for addr, p := range peers {
		if is, made := r.peers[addr]; made && slices.Equal(is.Addrs, p.Addrs) {
			continue
		}
		var err error
		if !up {
			err = link.SetUpOverlay(r.local())
			up = err == nil
		}
		if err == nil {
			err = link.SetPeer(p)
		}
		if err != nil {
			r.cfg.Log.Warn("a node on another segment cannot be reached", "error", err)
			fine = false
			continue
		}
		r.peers[addr] = p
	}
	return fine
}

// part forgets the nodes that are behind the overlay no more, after their routes.
func (r *Router) part(peers map[netip.Addr]link.Peer) bool {
	fine := true
	for addr := range r.peers {
		if _, still := peers[addr]; still {
			continue
		}
		err := link.RemovePeer(addr)
		if err == nil && len(r.peers) == 1 {
			err = link.RemoveOverlay()
		}
		if err != nil {
			r.cfg.Log.Warn("a node on another segment is left behind", "error", err)
			fine = false
			continue
		}
		delete(r.peers, addr)
	}
	return fine
}
