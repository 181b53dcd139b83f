// Package alltest starts the real API server with identity, rights, admission
// and the control loops in the test's process: a cluster without machines.
package alltest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/controller/all"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/ipam"
	"berth.dev/berth/internal/pki"
)

// readyWithin bounds the wait for the loops' caches.
const readyWithin = 30 * time.Second

// Options say what differs from a whole cluster.
type Options struct {
	// Without names loops that are not started.
	Without []string
	// Calm fails the test when a loop warns that something failed.
	Calm bool
	// Tune changes the API server's configuration.
	Tune func(*apiserver.Config)
}

// Cluster is a running API server with its loops.
type Cluster struct {
	*apitest.Env
	// PKI is what identities are made of.
	PKI *pki.Set
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
	loops, err := all.Loops(all.Config{
		RootCA: set.CA.CertPEM, RESTConfig: env.As,
		IPAM: ipam.Config{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := loops[:0:0]
	for _, l := range loops {
		if !slices.Contains(o.Without, l.Name) {
			kept = append(kept, l)
		}
	}
	if len(kept)+len(o.Without) != len(loops) {
		t.Fatalf("one of %v is no loop", o.Without)
	}
	ready := make(chan struct{})
	Run(t, func(ctx context.Context) error {
		logger := slog.New(slog.NewTextHandler(logs{t, o.Calm}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		return host.New(host.Config{RESTConfig: env.As, Logger: logger}, kept...).Run(ctx, func() { close(ready) })
	})
	select {
	case <-ready:
	case <-time.After(readyWithin):
		t.Fatalf("the loops do not listen after %s: one of the kinds that they watch cannot be listed", readyWithin)
	}
	return &Cluster{Env: env, PKI: set}
}

// Kubeconfig is an administrator's kubeconfig for the real listener.
func (c *Cluster) Kubeconfig() pki.Kubeconfig {
	return pki.Kubeconfig{Server: "https://" + c.Server.Addr().String(), CAPEM: c.PKI.CA.CertPEM, Client: c.PKI.Admin}
}

// Run runs f beside the test until the test ends.
func Run(t testing.TB, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		stopped := ctx.Err() != nil
		cancel()
		if err := <-done; err != nil && !stopped {
			t.Errorf("ended early: %v", err)
		}
	})
}

// Follow calls each for the events of w until ctx ends. What each returns ends
// it too, unless it says that the object has changed or gone: another event
// tells of that.
func Follow(ctx context.Context, w watch.Interface, each func(watch.Event) error) error {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.ResultChan():
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
