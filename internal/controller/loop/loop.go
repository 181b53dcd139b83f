// Package loop is the shape of every control loop: a reconciler over a narrow
// view of the API plus pure mappings from events to keys. internal/controller/host
// runs loops in production on controller-runtime; internal/sim runs the same
// loops single-threaded on virtual time.
package loop

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Loop declares one control loop.
type Loop struct {
	// Name is the loop's short name, "statefulset". It is the source component
	// of its events as Name+"-controller" unless Source is set, and picks its identity.
	Name   string
	Source string
	// User is the identity the loop's requests carry, for example
	// "system:serviceaccount:kube-system:statefulset-controller" or "system:kube-scheduler".
	User string
	// Watches say which kinds wake the loop and for which keys.
	Watches []Watch
	// Indexes are needed by the loop's reads (List with client.MatchingFields);
	// the same index declared by two loops is made once.
	Indexes []Index
	// Workers is how many keys may be reconciled at once; 0 means 1.
	Workers int
	// New builds the reconciler. It must not start goroutines or touch the API.
	New func(Env) reconcile.Reconciler
}

// Watch maps events of one kind to keys. Map is pure but for reads from the cache.
// A Watch without a Map only keeps the kind in the cache for the loop's reads.
type Watch struct {
	Kind client.Object
	Map  func(ctx context.Context, read client.Reader, ev Event) []reconcile.Request
}

// Event is one change seen by the cache. Old is nil on add, New is nil on
// delete. The objects are shared: never change them.
type Event struct {
	Old, New client.Object
}

// Object is New, or Old when the object is gone.
func (e Event) Object() client.Object {
	if e.New != nil {
		return e.New
	}
	return e.Old
}

// Index is a cache index by a computed field.
type Index struct {
	Kind  client.Object
	Field string
	Keys  func(client.Object) []string
}

// OwnerUID is the name of the index that every namespaced kind a loop declares
// it for can be listed by: metadata.ownerReferences[controller].uid.
const OwnerUID = "metadata.controller.uid"

// Env is all that a loop may touch.
type Env struct {
	// Cache reads the shared informer cache: answers may be stale, objects are
	// shared and must not be changed (DeepCopy first).
	Cache client.Reader
	// Horizon says how far Cache has followed the API server; OwnWrites uses it.
	Horizon Horizon
	// Live reads the API server itself; use it only where staleness could harm.
	Live client.Reader
	// Write writes to the API server.
	Write Writer
	// Events records events; it never blocks and never fails the caller.
	Events Recorder
	Clock  clock.PassiveClock
	// Kinds follows kinds that appear at run time; nil where none can.
	Kinds Kinds
	// Parallel is how many writes a loop may make at once within one reconcile
	// (see SlowStart); the simulator allows 1.
	Parallel int
}

// Writer is the write half of controller-runtime's client.
type Writer interface {
	client.Writer
	client.StatusClient
	client.SubResourceClientConstructor
}

// Recorder records an event about an object. Type is corev1.EventTypeNormal or
// EventTypeWarning; reason and message are upstream's where upstream has them.
type Recorder interface {
	Event(about runtime.Object, eventType, reason, message string)
}

// NoOwner is the key under which the OwnerUID index lists objects without a controller.
const NoOwner = "-"

// ByOwner is the OwnerUID index of a kind: objects by the UID of their
// controller, those without one by NoOwner.
func ByOwner(kind client.Object) Index {
	return Index{Kind: kind, Field: OwnerUID, Keys: func(obj client.Object) []string {
		if owner := metav1.GetControllerOfNoCopy(obj); owner != nil {
			return []string{string(owner.UID)}
		}
		return []string{NoOwner}
	}}
}

// SlowStart calls do(0) … do(n-1), at most limit at once, in batches of 1, 2, 4 …
// so that a call that always fails is not tried a thousand times: it stops after
// the first batch with an error and returns that error. With limit 1 the calls
// are made one by one on the caller's goroutine.
func SlowStart(n, limit int, do func(i int) error) error {
	if limit <= 1 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	for done, batch := 0, 1; done < n; done, batch = done+batch, min(2*batch, maxBatch) {
		var group errgroup.Group
		group.SetLimit(limit)
		batch = min(batch, n-done)
		for i := done; i < done+batch; i++ {
			group.Go(func() error { return do(i) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// Each calls do(0) … do(n-1), at most limit at once, whatever they return, and
// returns the first error. With limit 1 the calls are made one by one on the
// caller's goroutine.
func Each(n, limit int, do func(i int) error) error {
	if limit <= 1 {
		var first error
		for i := range n {
			if err := do(i); first == nil {
				first = err
			}
		}
		return first
	}
	var group errgroup.Group
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

// maxBatch bounds how many calls one batch of SlowStart makes.
const maxBatch = 500

// Sooner is the shorter of two waits; 0 means none.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
