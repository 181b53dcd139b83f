// Package alltest starts the real API server with identity, rights, admission
// and the control loops in the test's process: a cluster without machines.
package alltest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/controller/all"
	"berth.dev/berth/internal/controller/certificate"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/ipam"
	"berth.dev/berth/internal/pki"
)

// readyWithin bounds the wait for the loops' caches.
const readyWithin = 30 * time.Second

// Options say what differs from a whole cluster.
type Options struct {
	// Without names loops that are not started.
	Without []string
	// ClusterCIDRs are the ranges of pod addresses; none is 10.42.0.0/16.
	ClusterCIDRs []netip.Prefix
	// Ends lets the machines say that a pod has ended before they let go of it, as
	// real ones do: an address that a pod may still use rests for half a minute.
	Ends bool
	// Calm fails the test when a loop warns that something failed.
	Calm bool
	// Tune changes the API server's configuration.
	Tune func(*apiserver.Config)
	// Request sees each request of a loop, before it is made; several at once.
	Request func(user string, r *http.Request)
	// Wrap, which may be nil, changes a loop.
	Wrap func(loop.Loop) loop.Loop
	// Reconciled is told of each reconcile that has ended; several at once.
	Reconciled func(loop string, key types.NamespacedName)
}

// Cluster is a running API server with its loops.
type Cluster struct {
	*apitest.Env
	// PKI is what identities are made of.
	PKI *pki.Set

	options Options
	stop    func()
}

// Start runs the cluster until the test ends.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	env := apitest.Start(t, func(c *apiserver.Config) {
		if err := secure.Apply(c, secure.Options{PKI: set}); err != nil {
			t.Fatal(err)
		}
		if o.Tune != nil {
			o.Tune(c)
		}
	})
	c := &Cluster{Env: env, PKI: set, options: o}
	c.start(t)
	return c
}

// RestartLoops ends all loops and starts them again with nothing in memory.
func (c *Cluster) RestartLoops(t testing.TB) {
	t.Helper()
	c.stop()
	c.start(t)
}

func (c *Cluster) start(t testing.TB) {
	t.Helper()
	cidrs := c.options.ClusterCIDRs
	if len(cidrs) == 0 {
		cidrs = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}
	}
	loops, err := all.Loops(all.Config{
		RootCA: c.PKI.CA.CertPEM, RESTConfig: c.as, Certificates: certificate.Config{Authority: c.PKI.CA},
		IPAM: ipam.Config{ClusterCIDRs: cidrs},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := loops[:0:0]
	for _, l := range loops {
		if !slices.Contains(c.options.Without, l.Name) {
			if c.options.Wrap != nil {
				l = c.options.Wrap(l)
			}
			kept = append(kept, c.told(l))
		}
	}
	if len(kept)+len(c.options.Without) != len(loops) {
		t.Fatalf("one of %v is no loop", c.options.Without)
	}
	ready := make(chan struct{})
	c.stop = Run(t, func(ctx context.Context) error {
		logger := slog.New(slog.NewTextHandler(logs{t, c.options.Calm}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		return host.New(host.Config{RESTConfig: c.as, Logger: logger}, kept...).Run(ctx, func() { close(ready) })
	})
	select {
	case <-ready:
	case <-time.After(readyWithin):
		t.Fatalf("the loops do not listen after %s: one of the kinds that they watch cannot be listed", readyWithin)
	}
}

// as is a loop's configuration.
func (c *Cluster) as(user string, groups ...string) *rest.Config {
	config := c.As(user, groups...)
	if see := c.options.Request; see != nil {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				see(user, r)
				return next.RoundTrip(r)
			})
		})
	}
	return config
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// told tells of the loop's reconciles.
func (c *Cluster) told(l loop.Loop) loop.Loop {
	tell := c.options.Reconciled
	if tell == nil {
		return l
	}
	name, build := l.Name, l.New
	l.New = func(env loop.Env) reconcile.Reconciler {
		next := build(env)
		return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
			result, err := next.Reconcile(ctx, req)
			tell(name, req.NamespacedName)
			return result, err
		})
	}
	return l
}

// Kubeconfig is an administrator's kubeconfig for the real listener.
func (c *Cluster) Kubeconfig() pki.Kubeconfig {
	return pki.Kubeconfig{Server: "https://" + c.Server.Addr().String(), CAPEM: c.PKI.CA.CertPEM, Client: c.PKI.Admin}
}

// Run runs f beside the test until stop is called, or else the test ends.
func Run(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended early: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Follow calls each for the events of w until ctx ends. What each returns ends
// it too, unless it says that the object has changed or gone: another event
// tells of that.
func Follow(ctx context.Context, w watch.Interface, each func(watch.Event) error) error {
	defer w.Stop()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	events := unhurried(reading, w.ResultChan())
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-events:
			if ctx.Err() != nil {
				return nil
			}
			if !ok {
				return errors.New("the watch ended")
			}
			if err := each(event); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
				return err
			}
		}
	}
}

// unhurried keeps events until they are asked for: the API server ends a watch
// that is read too slowly.
func unhurried(ctx context.Context, events <-chan watch.Event) <-chan watch.Event {
	out := make(chan watch.Event)
	go func() {
		defer close(out)
		var kept []watch.Event
		for events != nil || len(kept) > 0 {
			var to chan<- watch.Event
			var next watch.Event
			if len(kept) > 0 {
				to, next = out, kept[0]
			}
			select {
			case <-ctx.Done():
				return
			case event, ok := <-events:
				if !ok {
					events = nil
					continue
				}
				kept = append(kept, event)
			case to <- next:
				kept = kept[1:]
			}
		}
	}()
	return out
}

// logs shows what the loops say with the test.
type logs struct {
	t    testing.TB
	calm bool
}

func (w logs) Write(p []byte) (int, error) {
	if w.calm && bytes.Contains(p, []byte("level=WARN")) {
		w.t.Error("a loop is not calm")
	}
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
