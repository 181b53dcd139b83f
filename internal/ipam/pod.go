package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/attachment"
	"berth.dev/berth/internal/plan/staticpod"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// nic is the name of a pod's first interface.
const nic = attachment.FirstNIC

// ReasonExhausted is the reason of the event that a pod gets when no pool has
// an address for it.
const ReasonExhausted = "FailedAllocateIP"

// pod grants what one pod needs, or decides about what it leaves.
func (r *reconciler) pod(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	pod := &corev1.Pod{}
	err := r.env.Cache.Get(ctx, key, pod)
	if apierrors.IsNotFound(err) {
		return r.afterGone(ctx, key)
	}
	if err != nil {
		return 0, err
	}
	delete(r.gone, key)
	rec, held := r.known(ctx, key)
	granted := held && rec.UID == staticpod.Identity(pod)
	switch {
	case pod.Spec.HostNetwork:
		if held {
			return 0, r.release(ctx, rec)
		}
		return 0, nil
	case pod.Spec.NodeName == "" || !granted && (finished(pod) || pod.DeletionTimestamp != nil):
		return 0, nil // nobody starts it
	}
	if !granted {
		delete(r.ended, key)
	}
	return 0, r.grant(ctx, pod, key)
}

// known is the record of a pod, also when somebody else made the endpoint.
func (r *reconciler) known(ctx context.Context, key types.NamespacedName) (address.Record, bool) {
	current := r.own.Seen(ctx, key)
	if rec, ok := r.ledger.Record(key); ok || !current {
		return rec, ok
	}
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	if err := r.env.Cache.Get(ctx, key, e); err != nil || e.DeletionTimestamp != nil {
		return address.Record{}, false
	}
	r.warnConflicts(e, r.ledger.Adopt(recordOf(e)))
	return r.ledger.Record(key)
}

func (r *reconciler) grant(ctx context.Context, pod *corev1.Pod, key types.NamespacedName) error {
	var (
		rec       address.Record
		changed   bool
		mistake   *malformed
		full      *address.Exhausted
		elsewhere *address.Unavailable
	)
	ask, err := r.ask(ctx, pod, key)
	if err == nil {
		rec, changed, err = r.ledger.Grant(ask)
	}
	switch {
	case errors.As(err, &mistake):
		r.wait(pod, key, err.Error()+"; the pod waits until that is mended")
		return nil
	case errors.As(err, &full):
		r.wait(pod, key, full.Error()+"; the pod waits until an address is released or a pool grows")
		return nil
	case errors.As(err, &elsewhere):
		r.wait(pod, key, elsewhere.Error()+"; the pod waits until it can have that address")
		return nil
	case err != nil:
		return err
	}
	delete(r.told, key)
	if changed {
		r.unwritten[key] = true
	}
	if !r.unwritten[key] && !r.lost(ctx, key) {
		return nil
	}
	err = r.write(ctx, pod, rec)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // the pod goes with its namespace; until then the ledger holds its address
	}
	if err != nil {
		return fmt.Errorf("record the address of pod %s: %w", key, err)
	}
	delete(r.unwritten, key)
	return nil
}

// wait keeps a pod in line until something changes that may help it.
func (r *reconciler) wait(pod *corev1.Pod, key types.NamespacedName, why string) {
	if !slices.Contains(r.waiting, key) {
		r.waiting = append(r.waiting, key)
	}
	if r.told[key] != pod.UID {
		r.told[key] = pod.UID
		r.env.Events.Event(pod, corev1.EventTypeWarning, ReasonExhausted, why)
	}
}

// lost reports whether the endpoint of a record was deleted by somebody.
func (r *reconciler) lost(ctx context.Context, key types.NamespacedName) bool {
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	if !r.own.Seen(ctx, key) || !apierrors.IsNotFound(r.env.Cache.Get(ctx, key, e)) {
		return false
	}
	return apierrors.IsNotFound(r.env.Live.Get(ctx, key, e))
}

// write makes a record durable with one request.
func (r *reconciler) write(ctx context.Context, pod *corev1.Pod, rec address.Record) error {
	read := r.env.Cache
	if !r.own.Seen(ctx, rec.Pod) {
		read = r.env.Live
	}
	cached := &spiderpoolv2beta1.SpiderEndpoint{}
	err := read.Get(ctx, rec.Pod, cached)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	missing := err != nil
	e := cached.DeepCopy()
	if err := r.keepNetworks(ctx, e, pod); err != nil {
		return err
	}
	r.fill(e, pod, rec)
	write := r.own.Writer(rec.Pod)
	if missing {
		return write.Create(ctx, e)
	}
	return write.Update(ctx, e)
}

// afterGone keeps or releases what a pod that is gone held.
func (r *reconciler) afterGone(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	rec, held := r.known(ctx, key)
	if !held {
		r.forget(key)
		return 0, nil
	}
	if r.unwritten[key] {
		return r.reread(ctx, key)
	}
	now := r.env.Clock.Now()
	since, known := r.gone[key]
	if !known {
		since = r.retainedSince(ctx, key, now)
		r.gone[key] = since
	}
	g := address.Gone{Record: rec, Ended: r.ended[key] == rec.UID, For: now.Sub(since)}
	verdict, err := r.judge(ctx, r.env.Cache, g)
	if err == nil && verdict.Why == address.Retained {
		if g.Waived = r.lost(ctx, key); !g.Waived {
			return verdict.Again, r.noteRetained(ctx, key, since)
		}
		verdict, err = r.judge(ctx, r.env.Cache, g)
	}
	if err != nil || verdict.Keep {
		return verdict.Again, err
	}
	// A release cannot be taken back: ask the API server itself.
	err = r.env.Live.Get(ctx, key, &corev1.Pod{})
	if err == nil {
		return 0, nil // the cache is behind; its event wakes us
	}
	if !apierrors.IsNotFound(err) {
		return 0, err
	}
	verdict, err = r.judge(ctx, r.env.Live, g)
	if err != nil || verdict.Keep {
		return verdict.Again, err
	}
	return 0, r.release(ctx, rec)
}

// reread replaces a record whose write failed by what the API has: no node saw
// the grant unless it arrived all the same.
func (r *reconciler) reread(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	err := r.env.Live.Get(ctx, key, e)
	if apierrors.IsNotFound(err) {
		rec, _ := r.ledger.Record(key)
		r.drop(rec, false)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r.warnConflicts(e, r.ledger.Adopt(recordOf(e)))
	delete(r.unwritten, key)
	return r.afterGone(ctx, key)
}

func (r *reconciler) judge(ctx context.Context, read client.Reader, g address.Gone) (address.Verdict, error) {
	if g.Record.Set.Name != "" {
		set := &appsv1.StatefulSet{}
		err := read.Get(ctx, types.NamespacedName{Namespace: g.Record.Pod.Namespace, Name: g.Record.Set.Name}, set)
		if err != nil && !apierrors.IsNotFound(err) {
			return address.Verdict{Keep: true}, err
		}
		if err == nil {
			g.Set = stateOf(set)
		}
	}
	return address.AfterGone(g), nil
}

// release deletes the endpoint first: a crash in between leaves nothing behind.
func (r *reconciler) release(ctx context.Context, rec address.Record) error {
	key := rec.Pod
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	if err := r.env.Cache.Get(ctx, key, e); err != nil {
		if !apierrors.IsNotFound(err) {
			return err
		}
		e.Namespace, e.Name = key.Namespace, key.Name
	}
	err := r.own.Writer(key).Delete(ctx, e.DeepCopy())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release the address of pod %s: %w", key, err)
	}
	r.drop(rec, err == nil)
	return nil
}

// drop takes a record out of the ledger. The event of the endpoint's deletion
// wakes the pools; without one they are remembered.
func (r *reconciler) drop(rec address.Record, event bool) {
	r.ledger.Release(rec.Pod)
	r.freed = len(r.waiting) > 0
	r.forget(rec.Pod)
	for _, h := range rec.Held {
		if !event {
			r.silent[h.Pool] = true
		}
	}
}

// forget drops what is remembered about a pod without a record.
func (r *reconciler) forget(key types.NamespacedName) {
	delete(r.unwritten, key)
	delete(r.gone, key)
	delete(r.ended, key)
	delete(r.told, key)
	delete(r.networks, key)
}
