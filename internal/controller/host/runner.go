package host

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// A failed key is tried again at once, then ever more slowly up to maxRetry.
const (
	minRetry = 5 * time.Millisecond
	maxRetry = 30 * time.Second
)

// runner is one loop with its controller.
type runner struct {
	loop       loop.Loop
	controller controller.Controller
	source     *source
}

func (h *Host) newRunner(l loop.Loop, shared cache.Cache, informers informerSet, events *eventWriter) (*runner, error) {
	env, err := h.newEnv(l, shared, informers, events)
	if err != nil {
		return nil, err
	}
	s := &source{watches: l.Watches, informers: informers, read: sharer{shared, informers}, listening: make(chan struct{})}
	env.Kinds = &follower{all: h.following, shared: shared, source: s, handlers: map[loop.KindKey]toolscache.ResourceEventHandlerRegistration{}}
	workers := max(l.Workers, 1)
	logger := h.config.Logger.With("loop", l.Name)
	c, err := controller.NewUnmanaged(l.Name, controller.Options{
		Reconciler:              &reconciler{next: l.New(env), events: events, logger: logger},
		MaxConcurrentReconciles: workers,
		SkipNameValidation:      ptr.To(true),
		UsePriorityQueue:        ptr.To(false),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minRetry, maxRetry),
		NewQueue: func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
			return workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
				workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Name: name})
		},
		LogConstructor: func(*reconcile.Request) logr.Logger { return logr.Discard() },
	})
	if err != nil {
		return nil, err
	}
	return &runner{loop: l, controller: c, source: s}, c.Watch(s)
}

// reconciler says what went wrong, once and in our words, and lets low-priority
// work know that a loop is busy.
type reconciler struct {
	next   reconcile.Reconciler
	events *eventWriter
	logger *slog.Logger
}

func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	r.events.busy.Add(1)
	defer r.events.busy.Add(-1)
	result, err := r.next.Reconcile(ctx, req)
	switch {
	case err == nil:
	case pointless(req, err):
		r.logger.Debug("given up", "key", req.String(), "error", err)
		return reconcile.Result{}, nil
	case ctx.Err() != nil, apierrors.IsConflict(err), errors.Is(err, context.Canceled):
		r.logger.Debug("trying again", "key", req.String(), "error", err)
	default:
		r.logger.Warn("failed, trying again", "key", req.String(), "error", err)
	}
	return result, err
}

// pointless says that trying again cannot help: the namespace of the object is
// being deleted, and with it what the loop works for.
func pointless(req reconcile.Request, err error) bool {
	return req.Namespace != "" && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// source feeds a controller's queue from the shared informers.
type source struct {
	watches   []loop.Watch
	informers informerSet
	read      client.Reader
	listening chan struct{}

	// Both are set when the controller starts.
	ctx   context.Context //nolint:containedctx // the handlers live as long as the source's context
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Start implements controller-runtime's source.Source. The informers are filled
// already, so there is nothing to wait for.
func (s *source) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	defer close(s.listening)
	s.ctx, s.queue = ctx, queue
	for _, w := range s.watches {
		if w.Map == nil {
			continue
		}
		if _, err := s.listen(s.informers[loop.KeyOf(w.Kind)], w); err != nil {
			return err
		}
	}
	return nil
}

// listen sends one informer's events through a watch to the queue.
func (s *source) listen(informer toolscache.SharedIndexInformer, w loop.Watch) (toolscache.ResourceEventHandlerRegistration, error) {
	return informer.AddEventHandler(&handler{ctx: s.ctx, watch: w, read: s.read, queue: s.queue})
}

func (s *source) String() string { return "shared cache" }

// handler maps one informer's events to keys.
type handler struct {
	ctx   context.Context //nolint:containedctx // the handler lives as long as the source's context
	watch loop.Watch
	read  client.Reader
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func (h *handler) OnAdd(obj any, _ bool) {
	if o, ok := obj.(client.Object); ok {
		h.enqueue(loop.Event{New: o})
	}
}

func (h *handler) OnUpdate(before, after any) {
	o, ok1 := before.(client.Object)
	n, ok2 := after.(client.Object)
	if !ok1 || !ok2 || o.GetResourceVersion() == n.GetResourceVersion() {
		return // the same object again, after a relist
	}
	if o.GetUID() != n.GetUID() { // deleted and made anew between two lists
		h.enqueue(loop.Event{Old: o})
		h.enqueue(loop.Event{New: n})
		return
	}
	h.enqueue(loop.Event{Old: o, New: n})
}

func (h *handler) OnDelete(obj any) {
	if lost, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = lost.Obj
	}
	if o, ok := obj.(client.Object); ok {
		h.enqueue(loop.Event{Old: o})
	}
}

func (h *handler) enqueue(event loop.Event) {
	for _, req := range h.watch.Map(h.ctx, h.read, event) {
		h.queue.Add(req)
	}
}
