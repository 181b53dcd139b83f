// Package host runs control loops in production: on controller-runtime's cache
// and controllers, all loops of a process over one shared read-only cache, each
// loop's writes under an identity of its own.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"berth.dev/berth/internal/controller/loop"
)

// parallelWrites is how many writes one reconcile may have under way.
const parallelWrites = 16

// Config says where the API is and who speaks to it.
type Config struct {
	// RESTConfig returns a client configuration that acts as user in groups
	// (system:authenticated need not be listed).
	RESTConfig func(user string, groups ...string) *rest.Config
	// Scheme knows every kind that the loops use, each Go type under one version
	// only; nil means every kind that Berth serves.
	Scheme *runtime.Scheme
	// Mapper maps kinds to resources. When nil, resources are guessed from the
	// scheme's kinds, which is right for every kind that Berth serves.
	Mapper meta.RESTMapper
	// CacheUser is the identity of the shared cache's lists and watches;
	// "system:kube-controller-manager" when empty.
	CacheUser string
	// Logger takes what goes wrong; nil means silence.
	Logger *slog.Logger
	// Clock is the loops' clock; nil means the real one.
	Clock clock.PassiveClock
}

// Host owns the cache and the loops.
type Host struct {
	config Config
	loops  []loop.Loop
	mapper *growingMapper

	following *following
}

// New returns a host for these loops. Nothing runs before Run.
func New(config Config, loops ...loop.Loop) *Host {
	if config.CacheUser == "" {
		config.CacheUser = "system:kube-controller-manager"
	}
	if config.Scheme == nil {
		config.Scheme = clientScheme()
	}
	if config.Mapper == nil {
		config.Mapper = staticMapper(config.Scheme)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	mapper := &growingMapper{RESTMapper: config.Mapper, grown: map[schema.GroupVersionKind]*meta.RESTMapping{}}
	return &Host{config: config, loops: loops, mapper: mapper, following: &following{mapper: mapper, kinds: map[loop.KindKey]*followed{}}}
}

// Run fills the cache, starts every loop, calls ready (may be nil) when all of
// them listen, and blocks until ctx ends and the last reconcile has returned.
func (h *Host) Run(ctx context.Context, ready func()) error {
	ctrllog.SetLogger(logr.Discard()) // controller-runtime's own chatter; see reconciler.go for ours
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	shared, err := h.newCache()
	if err != nil {
		return fmt.Errorf("controllers: build the shared cache: %w", err)
	}
	informers, err := h.prepare(ctx, shared)
	if err != nil {
		return err
	}
	events := newEventWriter(h.config.Clock, h.config.Logger)
	runners := make([]*runner, 0, len(h.loops))
	for _, l := range h.loops {
		r, err := h.newRunner(l, shared, informers, events)
		if err != nil {
			return fmt.Errorf("controllers: %s: %w", l.Name, err)
		}
		runners = append(runners, r)
	}

	var running sync.WaitGroup
	defer running.Wait()
	start := func(what string, run func(context.Context) error) {
		running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("controllers: %s: %w", what, err))
			}
		})
	}
	start("shared cache", shared.Start)
	start("events", events.run)
	if !toolscache.WaitFor(ctx, "", informers.checkers()...) {
		return ignoreStop(context.Cause(ctx))
	}
	for _, r := range runners {
		start(r.loop.Name, r.controller.Start)
	}
	if err := waitListening(ctx, runners); err == nil && ready != nil {
		ready()
	}
	<-ctx.Done()
	return ignoreStop(context.Cause(ctx))
}

func waitListening(ctx context.Context, runners []*runner) error {
	for _, r := range runners {
		select {
		case <-r.source.listening:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ignoreStop hides the ordinary reason for the end of Run.
func ignoreStop(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

// newCache builds the one cache: no deep copies, no managed fields, no resync.
func (h *Host) newCache() (cache.Cache, error) {
	config := unlimited(h.config.RESTConfig(h.config.CacheUser, groupsOf(h.config.CacheUser)...))
	return cache.New(config, cache.Options{
		Scheme:                       h.config.Scheme,
		Mapper:                       h.mapper,
		SyncPeriod:                   ptr.To(time.Duration(0)),
		ReaderFailOnMissingInformer:  true,
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: ptr.To(true),
		DefaultWatchErrorHandler: func(ctx context.Context, r *toolscache.Reflector, err error) {
			h.config.Logger.Debug("watch ended, starting again", "kind", r.TypeDescription(), "error", err)
		},
	})
}

// prepare makes one informer per watched kind and one index per declared field.
func (h *Host) prepare(ctx context.Context, shared cache.Cache) (informerSet, error) {
	informers := informerSet{}
	type indexKey struct {
		kind  loop.KindKey
		field string
	}
	indexed := map[indexKey]bool{}
	for _, l := range h.loops {
		for _, w := range l.Watches {
			if err := informers.add(ctx, shared, w.Kind); err != nil {
				return nil, fmt.Errorf("controllers: %s: watch %T: %w", l.Name, w.Kind, err)
			}
		}
		for _, index := range l.Indexes {
			key := indexKey{loop.KeyOf(index.Kind), index.Field}
			if indexed[key] {
				continue
			}
			indexed[key] = true
			if err := informers.add(ctx, shared, index.Kind); err != nil {
				return nil, fmt.Errorf("controllers: %s: watch %T: %w", l.Name, index.Kind, err)
			}
			if err := shared.IndexField(ctx, index.Kind, index.Field, index.Keys); err != nil {
				return nil, fmt.Errorf("controllers: %s: index %T by %s: %w", l.Name, index.Kind, index.Field, err)
			}
		}
	}
	return informers, nil
}

// newEnv gives a loop its view of the API: the shared cache to read, a client of
// its own identity to write.
func (h *Host) newEnv(l loop.Loop, shared cache.Cache, informers informerSet, events *eventWriter) (loop.Env, error) {
	config := unlimited(h.config.RESTConfig(l.User, groupsOf(l.User)...))
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return loop.Env{}, err
	}
	live, err := client.New(config, client.Options{
		HTTPClient: httpClient, Scheme: h.config.Scheme, Mapper: h.mapper,
	})
	if err != nil {
		return loop.Env{}, err
	}
	source := l.Source
	if source == "" {
		source = l.Name + "-controller"
	}
	recorder, err := events.recorder(config, httpClient, h.config.Scheme, source)
	if err != nil {
		return loop.Env{}, err
	}
	return loop.Env{
		Cache: sharer{shared, informers}, Horizon: informers, Live: live, Write: loop.Spare(live, h.config.Clock),
		Events: recorder, Clock: h.config.Clock, Parallel: parallelWrites,
	}, nil
}

// unlimited lifts the client's own rate limit: priority and fairness is the server's job.
func unlimited(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst, config.RateLimiter = -1, 0, nil
	// Empty lets controller-runtime choose by kind: protobuf where a kind has it.
	config.ContentType, config.AcceptContentTypes = "", ""
	return config
}

// groupsOf are the groups that a service account's own token would carry.
func groupsOf(user string) []string {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return nil
	}
	namespace, _, _ := strings.Cut(rest, ":")
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}
