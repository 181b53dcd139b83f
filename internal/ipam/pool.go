package ipam

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

const (
	defaultIPv4 = address.DefaultIPv4
	defaultIPv6 = address.DefaultIPv6
	finalizer   = spiderpoolv2beta1.Finalizer
	// renderEvery is the shortest time between two writes of a pool's status.
	renderEvery = time.Second
	// listAtMost is the number of addresses above which a status only counts.
	listAtMost = 10_000
)

// rendering is what was last written to a pool's status.
type rendering struct {
	edition uint64
	at      time.Time
}

// builtinPools are the pools of the cluster's own ranges.
func builtinPools(cidrs []netip.Prefix) ([]spiderpoolv2beta1.SpiderIPPool, error) {
	var out []spiderpoolv2beta1.SpiderIPPool
	for _, cidr := range cidrs {
		name, version := defaultIPv4, int64(address.IPv4)
		if cidr.Addr().Is6() {
			name, version = defaultIPv6, int64(address.IPv6)
		}
		if slices.ContainsFunc(out, func(p spiderpoolv2beta1.SpiderIPPool) bool { return p.Name == name }) {
			return nil, fmt.Errorf("cluster CIDR %s: there is another IPv%d range; give one of each family and make further SpiderIPPools", cidr, version)
		}
		pool := spiderpoolv2beta1.SpiderIPPool{Spec: spiderpoolv2beta1.IPPoolSpec{
			IPVersion: ptr.To(version),
			Subnet:    cidr.Masked().String(),
			IPs:       []string{address.Usable(cidr).String()},
			Default:   ptr.To(true),
		}}
		pool.Name = name
		out = append(out, pool)
	}
	return out, nil
}

func poolOf(p *spiderpoolv2beta1.SpiderIPPool) (address.Pool, error) {
	spec := &p.Spec
	pool, err := address.ParsePool(p.Name, address.Family(ptr.Deref(spec.IPVersion, 0)),
		spec.Subnet, spec.IPs, spec.ExcludeIPs, ptr.Deref(spec.Gateway, ""))
	pool.Closed = ptr.Deref(spec.Disable, false) || p.DeletionTimestamp != nil
	return pool, err
}

// pool brings one pool into the ledger and its status up to date.
func (r *reconciler) pool(ctx context.Context, name string) (time.Duration, error) {
	pool := &spiderpoolv2beta1.SpiderIPPool{}
	err := r.env.Cache.Get(ctx, types.NamespacedName{Name: name}, pool)
	if apierrors.IsNotFound(err) {
		return 0, r.poolGone(ctx, name)
	}
	if err != nil {
		return 0, err
	}
	parsed, err := poolOf(pool)
	if err != nil {
		r.env.Events.Event(pool, corev1.EventTypeWarning, "InvalidPool", err.Error())
		r.ledger.RemovePool(name)
		return 0, r.readDefaults(ctx)
	}
	if was := r.specs[name]; r.ledger.SetPool(parsed) || was == nil || !equality.Semantic.DeepEqual(was.Spec, pool.Spec) {
		r.freed = len(r.waiting) > 0
	}
	if err := r.readDefaults(ctx); err != nil {
		return 0, err
	}
	if pool.DeletionTimestamp != nil && r.ledger.Counts(name).Held == 0 && slices.Contains(pool.Finalizers, finalizer) {
		pool = pool.DeepCopy()
		pool.Finalizers = slices.DeleteFunc(pool.Finalizers, func(f string) bool { return f == finalizer })
		return 0, r.env.Write.Update(ctx, pool)
	}
	return r.render(ctx, pool)
}

// poolGone makes a built-in pool, again when somebody deleted it.
func (r *reconciler) poolGone(ctx context.Context, name string) error {
	delete(r.rendered, name)
	for i := range r.builtin {
		if r.builtin[i].Name == name {
			err := r.env.Write.Create(ctx, r.builtin[i].DeepCopy())
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("make IPPool %s: %w", name, err)
			}
			return nil
		}
	}
	r.ledger.RemovePool(name)
	return r.readDefaults(ctx)
}

func (r *reconciler) readDefaults(ctx context.Context) error {
	pools := &spiderpoolv2beta1.SpiderIPPoolList{}
	if err := r.env.Cache.List(ctx, pools); err != nil {
		return err
	}
	r.setSpecs(pools)
	if defaults := r.defaultPools(pools); !maps.EqualFunc(defaults, r.defaults, slices.Equal) {
		r.defaults = defaults
		r.freed = len(r.waiting) > 0
	}
	return nil
}

// defaultPools orders the default pools: the user's by name, then the
// built-in ones, which may not exist as objects yet.
func (r *reconciler) defaultPools(pools *spiderpoolv2beta1.SpiderIPPoolList) map[address.Family][]string {
	builtin := map[string]bool{}
	for i := range r.builtin {
		builtin[r.builtin[i].Name] = true
	}
	var names []string
	for i := range pools.Items {
		p := &pools.Items[i]
		if ptr.Deref(p.Spec.Default, false) && !builtin[p.Name] {
			names = append(names, p.Name)
		}
		if builtin[p.Name] && !ptr.Deref(p.Spec.Default, false) {
			delete(builtin, p.Name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	for i := range r.builtin {
		if builtin[r.builtin[i].Name] {
			names = append(names, r.builtin[i].Name)
		}
	}
	out := map[address.Family][]string{}
	for _, name := range names {
		if p, ok := r.ledger.Pool(name); ok {
			out[p.Family] = append(out[p.Family], name)
		}
	}
	return out
}

// render writes the status of a pool when it changed, at once if the last
// write is long enough ago.
func (r *reconciler) render(ctx context.Context, pool *spiderpoolv2beta1.SpiderIPPool) (time.Duration, error) {
	name, now := pool.Name, r.env.Clock.Now()
	edition, last := r.ledger.Edition(name), r.rendered[name]
	if !last.at.IsZero() {
		if last.edition == edition {
			return 0, nil
		}
		if wait := renderEvery - now.Sub(last.at); wait > 0 {
			return wait, nil
		}
	}
	key := types.NamespacedName{Name: name}
	if !r.own.Seen(ctx, key) {
		return renderEvery / 10, nil // the cached status is not what we wrote last
	}
	status, err := r.status(name)
	if err != nil {
		return 0, err
	}
	if !equality.Semantic.DeepEqual(status, pool.Status) {
		pool = pool.DeepCopy()
		pool.Status = status
		if err := r.own.Writer(key).Status().Update(ctx, pool); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return renderEvery / 10, nil // the cache is behind
			}
			return 0, fmt.Errorf("write the status of IPPool %s: %w", name, err)
		}
	}
	r.rendered[name] = rendering{edition: edition, at: now}
	return 0, nil
}

func (r *reconciler) status(name string) (spiderpoolv2beta1.IPPoolStatus, error) {
	counts := r.ledger.Counts(name)
	status := spiderpoolv2beta1.IPPoolStatus{
		TotalIPCount: ptr.To(counts.Total), AllocatedIPCount: ptr.To(counts.Held),
	}
	if counts.Held == 0 || counts.Held > listAtMost {
		return status, nil
	}
	list := make(map[string]spiderpoolv2beta1.AllocatedIP, counts.Held)
	for _, a := range r.ledger.Allocations(name) {
		list[a.Addr.String()] = spiderpoolv2beta1.AllocatedIP{NamespacedName: a.Pod.String(), PodUID: string(a.UID)}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return status, err
	}
	status.AllocatedIPs = ptr.To(string(text))
	return status, nil
}
