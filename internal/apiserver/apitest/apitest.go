// Package apitest starts the real API server with an embedded datastore in the
// test's process, for tests that talk to it through client-go.
package apitest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/datastore"
)

const (
	startWithin = 60 * time.Second
	// ServiceCIDR is the range of service addresses.
	ServiceCIDR = "10.43.0.0/16"
)

// Env is a running server.
type Env struct {
	// Config is an administrator's configuration for the in-process transport.
	Config *rest.Config
	// TLS is an administrator's configuration for the real listener.
	TLS *rest.Config
	// Client uses Config.
	Client kubernetes.Interface
	Server *apiserver.Server
	// Store is the datastore behind the server.
	Store *datastore.Store
	// FrontProxyCA verifies who the server says it is to other API servers.
	FrontProxyCA []byte
	// Dir holds the datastore; it survives Restart.
	Dir string

	t    testing.TB
	tune []func(*apiserver.Config)
	keys keys
	stop func()
}

// Start runs a server until the test ends. By default every authenticated user
// may do everything; tune may set authorization, admission, hooks and the like.
func Start(t testing.TB, tune ...func(*apiserver.Config)) *Env {
	t.Helper()
	e := &Env{Dir: t.TempDir(), t: t, tune: tune, stop: func() {}}
	e.keys = newKeys(t, e.Dir)
	e.FrontProxyCA = e.keys.proxyCA
	t.Cleanup(func() { e.stop() })
	e.start()
	return e
}

// As returns an in-process configuration for another user.
func (e *Env) As(name string, groups ...string) *rest.Config {
	return e.Server.ClientConfig(name, groups...)
}

// Restart stops the server and starts one on the same data.
func (e *Env) Restart() {
	e.t.Helper()
	e.stop()
	e.start()
}

// Stop ends the server before the test does.
func (e *Env) Stop() { e.stop() }

func (e *Env) start() {
	e.t.Helper()
	store, err := datastore.Open(e.t.Context(), datastore.Config{Dir: e.Dir + "/etcd"})
	if err != nil {
		e.t.Fatal(err)
	}
	c := apiserver.Config{
		Kinds:            api.Kinds(),
		Datastore:        store,
		TLS:              e.keys.serving,
		BindAddress:      "127.0.0.1",
		AdvertiseAddress: netip.MustParseAddr("192.0.2.1"),
		ServiceCIDRs:     []netip.Prefix{netip.MustParsePrefix(ServiceCIDR)},
		Authenticator:    e.keys.authenticator,
		FrontProxy:       e.keys.proxy,
	}
	for _, f := range e.tune {
		f(&c)
	}
	if e.Server, err = apiserver.New(c); err != nil {
		_ = store.Close()
		e.t.Fatal(err)
	}
	e.Store = store
	e.run(store)
	e.Config = e.As("admin", user.SystemPrivilegedGroup)
	e.TLS = e.keys.client(e.Server.Addr())
	if e.Client, err = kubernetes.NewForConfig(e.Config); err != nil {
		e.t.Fatal(err)
	}
}

func (e *Env) run(store *datastore.Store) {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.t.Context()))
	ready, done := make(chan struct{}), make(chan error, 1)
	server := e.Server
	go func() { done <- server.Run(ctx, func() { close(ready) }) }()
	stopped := false
	e.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			e.t.Errorf("stopping the API server: %v", err)
		}
		_ = store.Close()
	}
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		e.t.Fatalf("the API server ended: %v", err)
	case <-time.After(startWithin):
		e.t.Fatal("the API server did not become ready")
	}
}
