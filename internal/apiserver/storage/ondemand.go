package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"

	"berth.dev/berth/internal/base/stack"
)

// onDemand is a resource in etcd that gets a watch cache with its first watcher.
// Most kinds never have one, and then cost nothing but their declaration.
type onDemand struct {
	storage.Interface // etcd
	config            cacher.Config

	cache atomic.Pointer[watchCache] // once it is filled

	mu      sync.Mutex
	started *cacher.Cacher
	stopped bool
}

// watchCache is a filled cache. It knows nothing of what was before it.
type watchCache struct {
	*cacher.CacheDelegator
	since uint64
}

var errStopped = errors.New("the storage is being shut down")

// best is the cache if there is one.
func (o *onDemand) best() storage.Interface {
	if c := o.cache.Load(); c != nil {
		return c
	}
	return o.Interface
}

// filled starts the cache if need be and waits until it is filled.
func (o *onDemand) filled(ctx context.Context) (*watchCache, error) {
	if c := o.cache.Load(); c != nil {
		return c, nil
	}
	c, err := o.start()
	if err != nil {
		return nil, err
	}
	if err := c.Wait(ctx); err != nil {
		return nil, err
	}
	since, err := o.GetCurrentResourceVersion(ctx)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return nil, errStopped
	}
	if o.cache.Load() == nil {
		o.cache.Store(&watchCache{CacheDelegator: cacher.NewCacheDelegator(c, o.Interface), since: since})
	}
	return o.cache.Load(), nil
}

func (o *onDemand) start() (*cacher.Cacher, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return nil, errStopped
	}
	if o.started == nil {
		c, err := cacher.NewCacherFromConfig(o.config)
		if err != nil {
			return nil, err
		}
		o.started = c
	}
	return o.started, nil
}

// stop ends the cache for good.
func (o *onDemand) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	if c := o.cache.Load(); c != nil {
		c.Stop()
	}
	if o.started != nil {
		o.started.Stop()
	}
}

// Watch begins in the cache, or in etcd with what happened before there was one:
// a client that listed then, or before a restart, need not list again.
func (o *onDemand) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	c, err := o.filled(ctx)
	if err != nil {
		return nil, err
	}
	from, err := o.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err == nil && from > 0 && from < c.since && opts.SendInitialEvents == nil && o.remembers(ctx, key, opts) {
		return o.replay(ctx, key, opts)
	}
	return c.Watch(ctx, key, opts)
}

// How often a watch gets a bookmark, and how long before its end the last one,
// as the cache has it.
const (
	bookmarkEvery = time.Minute
	bookmarkAhead = 2 * time.Second
)

// replay watches etcd, which reports its progress when it is asked to.
func (o *onDemand) replay(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	opts.ProgressNotify = opts.Predicate.AllowWatchBookmarks
	w, err := o.Interface.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	if !opts.ProgressNotify {
		// A progress report that somebody else asked for goes to all watches of a
		// connection, also to those that want no bookmarks.
		return newSieve(w, func(e watch.Event) bool { return e.Type != watch.Bookmark }), nil
	}
	go func() {
		for {
			wait := bookmarkEvery
			if end, ok := ctx.Deadline(); ok {
				if left := time.Until(end) - bookmarkAhead; left > 0 {
					wait = min(wait, left)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
				_ = o.RequestWatchProgress(ctx) // the next one may succeed; the client can do without
			}
		}
	}()
	return w, nil
}

// remembers says whether etcd still has the revision that opts begin at. If not,
// the cache gives the answer that clients of upstream know.
func (o *onDemand) remembers(ctx context.Context, key string, opts storage.ListOptions) bool {
	then := storage.ListOptions{
		ResourceVersion: opts.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
		Recursive: opts.Recursive, Predicate: storage.Everything,
	}
	then.Predicate.Limit = 1
	return o.Interface.GetList(ctx, key, then, o.config.NewListFunc()) == nil
}

// reader is where to read from. Only a cache can wait for a version that is yet
// to come.
func (o *onDemand) reader(ctx context.Context, version string) (storage.Interface, error) {
	if version == "" || version == "0" {
		return o.best(), nil
	}
	return o.filled(ctx)
}

func (o *onDemand) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	from, err := o.reader(ctx, opts.ResourceVersion)
	if err != nil {
		return err
	}
	return from.Get(ctx, key, opts, out)
}

func (o *onDemand) GetList(ctx context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	from, err := o.reader(ctx, opts.ResourceVersion)
	if err != nil {
		return err
	}
	return from.GetList(ctx, key, opts, out)
}

func (o *onDemand) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, existing runtime.Object, opts storage.DeleteOptions,
) error {
	return o.best().Delete(ctx, key, out, preconditions, validate, existing, opts)
}

func (o *onDemand) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, existing runtime.Object,
) error {
	stack.Reserve() // the goroutine was made for this, and update goes deep
	return o.best().GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, existing)
}

// ReadinessCheck implements storage.Interface. A cache that nobody has asked for is ready.
func (o *onDemand) ReadinessCheck() error { return o.best().ReadinessCheck() }
