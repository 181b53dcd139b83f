// Package lead lets one of several servers lead: it holds a coordination Lease
// that all of them watch, so that a released one is taken at once and one whose
// holder has fallen silent when its time is over. What acts in a term asks the
// term whether it still lasts; writes are fenced besides (see the datastore).
package lead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"
)

// Times are how long things may take.
type Times struct {
	// Lease is how long others wait for a sign of life before they take over.
	Lease time.Duration
	// Renew is the time between two signs of life.
	Renew time.Duration
	// Retry is the wait after a failure.
	Retry time.Duration
}

// DefaultTimes hand over within Lease and a moment when a leader crashes.
var DefaultTimes = Times{Lease: 10 * time.Second, Renew: 3 * time.Second, Retry: 500 * time.Millisecond}

// releaseWithin bounds the last write of a server that stops.
const releaseWithin = time.Second

// Config says who wants to lead.
type Config struct {
	Leases coordinationclient.LeaseInterface
	// Name is the lease's.
	Name string
	// Instance is the same in every run of this server, and no other server's.
	// Only one process of an instance runs at a time.
	Instance string
	// Run tells this run from others of the instance.
	Run   string
	Times Times
	Log   *slog.Logger
}

// ErrLost is why a term's context ended when the lease was lost.
var ErrLost = errors.New("this server leads no more")

// Term is a time of leading.
type Term struct {
	until atomic.Int64 // nanoseconds since begun
	begun time.Time
	holds func(context.Context) error
}

// Check is nil while the lease is provably held.
func (t *Term) Check() error {
	if time.Since(t.begun) >= time.Duration(t.until.Load()) {
		return ErrLost
	}
	return nil
}

// Confirm asks the API server whether the lease is held. It sees what Check
// cannot: that the whole machine slept, its clock too.
func (t *Term) Confirm(ctx context.Context) error {
	if err := t.Check(); err != nil {
		return err
	}
	return t.holds(ctx)
}

// renewed notes that the lease was renewed by a request made at that time.
func (t *Term) renewed(at time.Time, lease time.Duration) {
	t.until.Store(int64(at.Sub(t.begun) + lease))
}

func (t *Term) left() time.Duration { return time.Duration(t.until.Load()) - time.Since(t.begun) }

// Run leads whenever it can until ctx ends: it calls act for each term, whose
// context ends with it. act must return then; the lease is released after it
// has, also when it returns earlier. An error of act ends Run.
func Run(ctx context.Context, c Config, act func(context.Context, *Term) error) error {
	e := &election{Config: c, holder: c.Instance + "_" + c.Run}
	for {
		term, err := e.acquire(ctx)
		if err != nil {
			return ignore(ctx, err)
		}
		c.Log.Info("this server leads", "lease", c.Name)
		switch err := e.term(ctx, term, act); {
		case ctx.Err() != nil:
			return ignore(ctx, err)
		case errors.Is(err, ErrLost):
			c.Log.Warn("this server leads no more: its lease was not renewed in time", "lease", c.Name)
		case err != nil:
			return err
		default:
			c.Log.Warn("this server leads no more: it gave its lease back", "lease", c.Name)
			if err := e.rest(ctx); err != nil {
				return nil // it stops
			}
		}
	}
}

func ignore(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ErrLost)) {
		return nil
	}
	return err
}

type election struct {
	Config
	holder string
	seen   *coordinationv1.Lease // as it was last read or written
}

// term runs act while the lease is renewed. Its error is ErrLost when it was not.
func (e *election) term(ctx context.Context, term *Term, act func(context.Context, *Term) error) error {
	acting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- act(acting, term) }()
	renewing := time.NewTimer(e.Times.Renew)
	defer renewing.Stop()
	for {
		select {
		case err := <-ended:
			if acting.Err() == nil || ctx.Err() != nil {
				e.release(context.WithoutCancel(ctx))
			}
			if errors.Is(context.Cause(acting), ErrLost) {
				return ErrLost
			}
			return err
		case <-renewing.C:
			if acting.Err() != nil {
				continue
			}
			if e.renew(acting, term) {
				renewing.Reset(e.Times.Renew)
				continue
			}
			if term.left() <= e.Times.Retry || e.lost() {
				stop(ErrLost)
				continue
			}
			renewing.Reset(e.Times.Retry)
		}
	}
}

// lost says that somebody else holds the lease.
func (e *election) lost() bool { return ptr.Deref(e.seen.Spec.HolderIdentity, "") != e.holder }

// renew gives a sign of life.
func (e *election) renew(ctx context.Context, term *Term) bool {
	ctx, cancel := context.WithTimeout(ctx, max(term.left(), e.Times.Retry))
	defer cancel()
	at := time.Now()
	next := e.seen.DeepCopy()
	next.Spec.RenewTime = ptr.To(metav1.NewMicroTime(at))
	got, err := e.Leases.Update(ctx, next, metav1.UpdateOptions{})
	if err == nil {
		e.seen = got
		term.renewed(at, e.Times.Lease)
		return true
	}
	e.Log.Debug("lease not renewed", "lease", e.Name, "error", err)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		if now, err := e.Leases.Get(ctx, e.Name, metav1.GetOptions{}); err == nil {
			e.seen = now
		} else if apierrors.IsNotFound(err) {
			e.seen = &coordinationv1.Lease{} // somebody deleted it: begin again
		}
	}
	return false
}

// release lets the next one lead at once.
func (e *election) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseWithin)
	defer cancel()
	next := e.seen.DeepCopy()
	next.Spec.HolderIdentity = ptr.To("")
	if _, err := e.Leases.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
		e.Log.Warn("the lease is not released; another server leads when it has run out", "lease", e.Name, "error", err)
	}
}

// acquire waits until this server holds the lease.
func (e *election) acquire(ctx context.Context) (*Term, error) {
	for {
		term, err := e.attempt(ctx)
		if err == nil {
			return term, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.Log.Debug("not leading yet", "lease", e.Name, "error", err)
		if err := e.rest(ctx); err != nil {
			return nil, err
		}
	}
}

// rest is the wait after a failure.
func (e *election) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(e.Times.Retry):
		return nil
	}
}

// attempt reads the lease, waits until it is free and takes it.
func (e *election) attempt(ctx context.Context) (*Term, error) {
	now, err := e.Leases.Get(ctx, e.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		at := time.Now()
		now, err = e.Leases.Create(ctx, e.claim(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: e.Name}}, at), metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		return e.begin(now, at), nil
	}
	if err != nil {
		return nil, err
	}
	if !e.free(now) {
		if now, err = e.awaitFree(ctx, now); err != nil {
			return nil, err
		}
	}
	at := time.Now()
	if now, err = e.Leases.Update(ctx, e.claim(now.DeepCopy(), at), metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	return e.begin(now, at), nil
}

func (e *election) begin(lease *coordinationv1.Lease, at time.Time) *Term {
	e.seen = lease
	term := &Term{begun: at, holds: e.holds}
	term.renewed(at, e.Times.Lease)
	return term
}

// holds reads the lease.
func (e *election) holds(ctx context.Context) error {
	now, err := e.Leases.Get(ctx, e.Name, metav1.GetOptions{})
	if err == nil && ptr.Deref(now.Spec.HolderIdentity, "") != e.holder {
		return ErrLost
	}
	return err
}

func (e *election) claim(lease *coordinationv1.Lease, at time.Time) *coordinationv1.Lease {
	now := ptr.To(metav1.NewMicroTime(at))
	transitions := ptr.Deref(lease.Spec.LeaseTransitions, 0)
	if lease.ResourceVersion != "" {
		transitions++
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseTransitions = ptr.To(e.holder), &transitions
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(max(1, e.Times.Lease/time.Second)))
	lease.Spec.AcquireTime, lease.Spec.RenewTime = now, now
	return lease
}

// free says that the lease can be taken at once: nobody holds it, or a former
// run of this instance, which has ended.
func (e *election) free(lease *coordinationv1.Lease) bool {
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	return holder == "" || strings.HasPrefix(holder, e.Instance+"_")
}

// awaitFree follows the lease until it is free, or its holder has given no sign
// of life for as long as it said: measured by our own clock, from when we saw
// the last one.
func (e *election) awaitFree(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	w, err := e.Leases.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", e.Name).String(), ResourceVersion: lease.ResourceVersion,
	})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	silence := time.NewTimer(lifeOf(lease))
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-silence.C:
			return lease, nil
		case ev, ok := <-w.ResultChan():
			next, isLease := ev.Object.(*coordinationv1.Lease)
			if !ok || !isLease || (ev.Type != watch.Added && ev.Type != watch.Modified) {
				return nil, fmt.Errorf("the watch of lease %s ended", e.Name)
			}
			if lease = next; e.free(lease) {
				return lease, nil
			}
			silence.Reset(lifeOf(lease))
		}
	}
}

func lifeOf(lease *coordinationv1.Lease) time.Duration {
	return time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 1)) * time.Second
}
