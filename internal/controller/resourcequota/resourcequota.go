// Package resourcequota keeps the status of resource quotas: what of each
// limit is used. Admission charges new objects as they come; this loop takes
// away what is gone, and repairs.
package resourcequota

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/resourcequota"
)

// User is the identity of the loop.
const User = "system:serviceaccount:kube-system:resourcequota-controller"

// charged comes before the name in the key of a quota of which nothing is
// known but that somebody wrote it: it is counted when that has settled.
const charged = "charged/"

// rests is how much longer than its last count took a quota is left alone, so
// that a namespace that empties is not listed for each of its objects. It
// never rests for longer than a client would notice.
const (
	rests   = 4
	restMax = 300 * time.Millisecond
)

// Loop returns the loop. kinds are those in the shared cache whose objects
// quotas can count; foreign counts all others and may be nil. The objects of
// the announcing kinds say what is served besides, see onAnnounced.
func Loop(kinds []Kind, foreign Foreign, announcing ...client.Object) loop.Loop {
	l := loop.Loop{
		Name:    "resourcequota",
		User:    User,
		Workers: 2,
		Watches: []loop.Watch{{Kind: &corev1.ResourceQuota{}, Map: onQuota}},
		New: func(env loop.Env) reconcile.Reconciler {
			return &controller{
				env: env, counter: counter{env, kinds, foreign}, memory: map[types.NamespacedName]*memory{},
				followed: map[schema.GroupResource]*followed{},
			}
		},
	}
	for _, k := range kinds {
		l.Watches = append(l.Watches, loop.Watch{Kind: k.New(), Map: onObject(k.Resource)})
	}
	for _, k := range announcing {
		l.Watches = append(l.Watches, loop.Watch{Kind: k, Map: onAnnounced})
	}
	return l
}

type controller struct {
	env     loop.Env
	counter counter

	mu     sync.Mutex
	memory map[types.NamespacedName]*memory

	following sync.Mutex
	followed  map[schema.GroupResource]*followed
}

// memory is what is known of one quota from before.
type memory struct {
	mu     sync.Mutex
	uid    types.UID
	ledger plan.Ledger
	rested time.Time // when it may be counted again
}

// Reconcile looks after one quota.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	name, wasCharged := strings.CutPrefix(req.Name, charged)
	key := types.NamespacedName{Namespace: req.Namespace, Name: name}
	quota := &corev1.ResourceQuota{}
	if err := c.env.Cache.Get(ctx, key, quota); err != nil {
		if apierrors.IsNotFound(err) {
			c.mu.Lock()
			delete(c.memory, key)
			c.mu.Unlock()
			return reconcile.Result{}, c.follow(ctx, key, nil)
		}
		return reconcile.Result{}, err
	}
	m := c.remember(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(c.env.Clock.Now(), quota)
	if wait := m.wait(c.env.Clock.Now(), wasCharged); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	again, err := c.count(ctx, m, quota)
	if err != nil && !apierrors.IsNotFound(err) {
		return reconcile.Result{}, fmt.Errorf("resource quota %s: %w", key, err)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// count brings one quota's status up to date. It returns after what time it
// should be called again, or 0.
func (c *controller) count(ctx context.Context, m *memory, quota *corev1.ResourceQuota) (time.Duration, error) {
	started := c.env.Clock.Now()
	defer func() {
		now := c.env.Clock.Now()
		m.rested = now.Add(min(rests*now.Sub(started), restMax))
	}()
	served, err := c.counter.served(ctx, quota)
	if err != nil {
		return 0, err
	}
	served.kinds = c.withoutGone(ctx, served.kinds)
	if err := c.follow(ctx, client.ObjectKeyFromObject(quota), served.kinds); err != nil {
		return 0, err
	}
	seen := c.counter.measure(ctx, quota, c.env.Cache, c.cachedForeign(served.kinds))
	decided := plan.Decide(plan.State{Quota: quota, Counted: seen.used, Settled: m.ledger.Settled(started)})
	wait := loop.Sooner(c.settling(served.kinds), served.again)
	if !decided.Ask || seen.err != nil {
		return loop.Sooner(seen.again(started), wait), seen.err
	}
	live, err := c.read(ctx, client.ObjectKeyFromObject(quota))
	if live == nil || err != nil {
		return 0, err
	}
	m.note(c.env.Clock.Now(), live)
	seen = c.counter.measure(ctx, live, c.env.Live, c.liveForeign(served.kinds))
	decided = plan.Decide(plan.State{Quota: live, Counted: seen.used, Exact: true, Settled: m.ledger.Settled(c.env.Clock.Now())})
	again := loop.Sooner(seen.again(started), wait)
	if decided.Held {
		again = plan.Settle
	}
	if decided.Status == nil {
		return again, seen.err
	}
	before := live.Status.Used
	live.Status = *decided.Status
	if err := c.env.Write.Status().Update(ctx, live); err != nil {
		return 0, fmt.Errorf("update its status: %w", err)
	}
	m.ledger.Wrote(c.env.Clock.Now(), loop.Version(live.ResourceVersion), before, decided.Status.Used)
	return again, seen.err
}

// read asks the API for a quota; nil means that it is gone. Upstream's rights
// of this loop are to list, not to get.
func (c *controller) read(ctx context.Context, key types.NamespacedName) (*corev1.ResourceQuota, error) {
	list := &corev1.ResourceQuotaList{}
	err := c.env.Live.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFields{metav1.ObjectNameField: key.Name})
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	return &list.Items[0], nil
}

func (c *controller) remember(key types.NamespacedName) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory[key] == nil {
		c.memory[key] = &memory{}
	}
	return c.memory[key]
}

func (m *memory) note(now time.Time, quota *corev1.ResourceQuota) {
	if m.uid != quota.UID {
		m.uid, m.ledger, m.rested = quota.UID, plan.Ledger{}, time.Time{}
	}
	m.ledger.Note(now, loop.Version(quota.ResourceVersion), quota.Status.Used)
}

// wait is how long the quota is left alone.
func (m *memory) wait(now time.Time, wasCharged bool) time.Duration {
	wait := m.rested.Sub(now)
	if wasCharged {
		wait = max(wait, m.ledger.Quiet(now))
	}
	return wait
}
