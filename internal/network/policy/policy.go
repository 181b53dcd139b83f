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

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
		wake: make(chan struct{}, 1), attached: map[types.NamespacedName]attached{}, changed: make(chan struct{}),
	}
	for _, informer := range []cache.SharedIndexInformer{e.policies, e.spaces} {
		reg, err := informer.AddEventHandler(e.touches())
		if err != nil {
			return nil, err
		}
		e.synced = append(e.synced, reg.HasSyncedChecker())
	}
	return e, nil
}

func (e *Enforcer) touches() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { e.touch() }, UpdateFunc: func(any, any) { e.touch() }, DeleteFunc: func(any) { e.touch() },
	}
}

func (e *Enforcer) touch() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
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
	state, covered := e.observe()
	kernel, err := open(conn, e.cfg.DualStack, e.cfg.Local, state)
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
		next, covered := e.observe()
		if c := state.To(next); !c.Empty() {
			if err := kernel.apply(c); err != nil {
				// The kernel has something else than we believe: load all again.
				e.cfg.Log.Warn("network policies are loaded anew", "err", err)
				if kernel, err = open(conn, e.cfg.DualStack, e.cfg.Local, next); err != nil {
					return err
				}
			}
			e.cfg.Log.Debug("network policies", "profiles", len(next.Profiles), "sets", len(next.Sets), "took", time.Since(began))
		}
		state = next
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
	reg, err := pods.AddEventHandler(e.touches())
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

// strip keeps of a pod what policies ask for.
func strip(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	small := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: pod.Labels},
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork},
		Status:     corev1.PodStatus{Phase: pod.Status.Phase, PodIPs: pod.Status.PodIPs},
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.Name != "" {
					small.Spec.Containers = append(small.Spec.Containers, corev1.Container{Ports: []corev1.ContainerPort{p}})
				}
			}
		}
	}
	return small, nil
}

// observe decides on what is known now, and names the attached pods in it.
func (e *Enforcer) observe() (netpolicy.State, map[types.NamespacedName]types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := netpolicy.Cluster{Namespaces: map[string]labels.Set{}}
	for _, obj := range e.policies.GetStore().List() {
		c.Policies = append(c.Policies, obj.(*networkingv1.NetworkPolicy))
	}
	for _, obj := range e.spaces.GetStore().List() {
		ns := obj.(*corev1.Namespace)
		c.Namespaces[ns.Name] = ns.Labels
	}
	covered := map[types.NamespacedName]types.UID{}
	if e.pods == nil {
		return netpolicy.Decide(c), covered
	}
	for _, obj := range e.pods.GetStore().List() {
		pod := obj.(*corev1.Pod)
		name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
		covered[name] = pod.UID
		now, attaching := e.attached[name]
		if attaching = attaching && (now.uid == pod.UID || now.uid == ""); attaching {
			now.decided = true
			e.attached[name] = now
		}
		if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		p := netpolicy.Pod{Namespace: pod.Namespace, Labels: pod.Labels, Local: pod.Spec.NodeName == e.cfg.NodeName}
		for _, ip := range pod.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil {
				p.Addresses = append(p.Addresses, a)
			}
		}
		if attaching {
			p.Addresses = now.addresses
		}
		for i := range pod.Spec.Containers {
			p.Ports = append(p.Ports, pod.Spec.Containers[i].Ports...)
		}
		c.Pods = append(c.Pods, p)
	}
	return netpolicy.Decide(c), covered
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
	e.mu.Lock()
	e.attached[pod] = attached{uid: uid, addresses: addresses}
	e.mu.Unlock()
	e.touch()
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

// none says that there is no policy.
func (e *Enforcer) none() bool {
	return e.policies.HasSynced() && len(e.policies.GetStore().List()) == 0
}
