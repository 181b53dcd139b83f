// Package policy enforces NetworkPolicies for the pods of one node. What they
// mean is decided by internal/plan/netpolicy; this package watches, and writes
// nftables. Pods are watched only once there is a policy.
package policy

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/netpolicy"
)

// Config says what to watch and for whom.
type Config struct {
	// Informers are shared with other parts of the node; whoever owns them starts them.
	Informers informers.SharedInformerFactory
	// Client watches pods, once there is a policy.
	Client   kubernetes.Interface
	NodeName string
	// Local are addresses of the node that every pod may reach: cluster DNS.
	Local []netip.Addr
	// DualStack says that pods have IPv6 addresses too.
	DualStack bool
	Log       *slog.Logger
}

// Enforcer is one node's.
type Enforcer struct {
	cfg              Config
	policies, spaces cache.SharedIndexInformer
	synced           []cache.DoneChecker
	wake             chan struct{}

	mu       sync.Mutex
	dirty    dirty
	pods     cache.SharedIndexInformer // nil before the first policy
	attached map[types.NamespacedName]attached
	changed  chan struct{} // closed at the next change of what is enforced
}

// attached is a pod that gets its network now, before the API knows its address.
type attached struct {
	uid       types.UID
	addresses []netip.Addr
	// decided says that a decision was made with it, enforced that it is in force.
	decided, enforced bool
}

// New registers with the informers, so call it before they are started.
func New(cfg Config) (*Enforcer, error) {
	e := &Enforcer{
		cfg: cfg, policies: cfg.Informers.Networking().V1().NetworkPolicies().Informer(), spaces: cfg.Informers.Core().V1().Namespaces().Informer(),
		wake: make(chan struct{}, 1), attached: map[types.NamespacedName]attached{}, changed: make(chan struct{}), dirty: clean(),
	}
	for what, informer := range map[what]cache.SharedIndexInformer{aPolicy: e.policies, aSpace: e.spaces} {
		reg, err := informer.AddEventHandler(e.touches(what))
		if err != nil {
			return nil, err
		}
		e.synced = append(e.synced, reg.HasSyncedChecker())
	}
	return e, nil
}

// Run enforces until ctx is done; the rules stay in the kernel after that. ready
// is called when what the policies say is in force.
func (e *Enforcer) Run(ctx context.Context, ready func()) error {
	if !cache.WaitFor(ctx, "", e.synced...) {
		return nil
	}
	conn, err := nft.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseLasting() }()
	var watch sync.WaitGroup
	defer watch.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !e.follow(ctx, &watch) {
		return nil
	}
	book := netpolicy.NewBook()
	news, covered := e.observe()
	book.Update(news)
	kernel, err := open(conn, e.cfg.DualStack, e.cfg.Local, book.State())
	if err != nil {
		return err
	}
	e.enforced(covered)
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		}
		if !e.follow(ctx, &watch) {
			return nil
		}
		began := time.Now()
		news, covered := e.observe()
		if c := book.Update(news); !c.Empty() {
			if err := kernel.apply(c); err != nil {
				// The kernel has something else than we believe: load all again.
				e.cfg.Log.Warn("network policies are loaded anew", "err", err)
				if kernel, err = open(conn, e.cfg.DualStack, e.cfg.Local, book.State()); err != nil {
					return err
				}
			}
			e.cfg.Log.Debug("network policies", "pods", len(news.Pods), "policies", len(news.Policies), "took", time.Since(began))
		}
		e.enforced(covered)
	}
}

// follow begins to watch pods when there is a policy; it is false when ctx is done.
func (e *Enforcer) follow(ctx context.Context, watch *sync.WaitGroup) bool {
	if e.pods != nil || len(e.policies.GetStore().List()) == 0 {
		return true
	}
	f := informers.NewSharedInformerFactoryWithOptions(e.cfg.Client, 0, informers.WithTransform(strip))
	pods := f.Core().V1().Pods().Informer()
	reg, err := pods.AddEventHandler(e.touches(aPod))
	if err != nil {
		e.cfg.Log.Error("pods cannot be watched", "err", err) // cannot be: it has just been made
		return true
	}
	f.StartWithContext(ctx)
	watch.Go(func() { <-ctx.Done(); f.Shutdown() })
	if !cache.WaitFor(ctx, "", reg.HasSyncedChecker()) {
		return false
	}
	e.mu.Lock()
	e.pods = pods
	e.mu.Unlock()
	return true
}

// enforced tells those who wait which pods the rules in force know, and forgets
// pods that are gone.
func (e *Enforcer) enforced(covered map[types.NamespacedName]types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, pod := range e.attached {
		uid, known := covered[name]
		switch {
		case pod.decided && known && (uid == pod.uid || pod.uid == ""):
			pod.enforced = true
			e.attached[name] = pod
		case pod.enforced:
			delete(e.attached, name)
		}
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

// Attach waits until the policies are in force for a pod that is about to get
// these addresses. Without policies there is nothing to wait for.
func (e *Enforcer) Attach(ctx context.Context, pod types.NamespacedName, uid types.UID, addresses []netip.Addr) error {
	if e.none() {
		return nil
	}
	e.attach(pod, attached{uid: uid, addresses: addresses})
	for {
		e.mu.Lock()
		is, changed := e.attached[pod], e.changed
		if e.none() { // now they are known, or the last one went
			delete(e.attached, pod)
			is.enforced = true
		}
		e.mu.Unlock()
		if is.enforced {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the network policies are not in force yet for pod %s: %w", pod, ctx.Err())
		}
	}
}

// attach has the pod decided on with these addresses.
func (e *Enforcer) attach(pod types.NamespacedName, is attached) {
	e.mu.Lock()
	e.attached[pod] = is
	e.mu.Unlock()
	e.touch(aPod, pod.String())
}

// none says that there is no policy.
func (e *Enforcer) none() bool {
	return e.policies.HasSynced() && len(e.policies.GetStore().List()) == 0
}
