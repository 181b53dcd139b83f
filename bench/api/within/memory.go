package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"

	"k8s.io/apiserver/pkg/authentication/user"

	"berth.dev/berth/bench/api/load"
	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/pki"
)

// prefix keeps the server's keys apart from those of the others on the etcd.
const prefix = "/in-memory"

// inMemory runs the API server, secured as in production, and puts its load on
// it over the transport that Berth's own components use.
func inMemory(ctx context.Context, etcd, dir, size string, in io.Reader, out io.Writer) (err error) {
	var want load.Size
	if err := json.Unmarshal([]byte(size), &want); err != nil {
		return fmt.Errorf("size %q: %w", size, err)
	}
	at := datastore.Config{Endpoints: []string{etcd}, Prefix: prefix}
	if etcd == "" {
		at = datastore.Config{Dir: filepath.Join(dir, "etcd")}
	}
	store, err := datastore.Open(ctx, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	server, err := newServer(dir, store)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- server.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		stop()
		return fmt.Errorf("the API server ended: %w", err)
	}
	err = answer(ctx, server, want, in, out)
	stop()
	return errors.Join(err, <-ended)
}

func newServer(dir string, store *datastore.Store) (*apiserver.Server, error) {
	const loopback = "127.0.0.1"
	keys, err := pki.Ensure(dir, pki.Options{NodeName: "bench", NodeIPs: []net.IP{net.ParseIP(loopback)}})
	if err != nil {
		return nil, err
	}
	c := apiserver.Config{
		Kinds: api.Kinds(), Datastore: store, BindAddress: loopback,
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
	}
	if err := secure.Apply(&c, secure.Options{PKI: keys, TaintNewNodes: true}); err != nil {
		return nil, err
	}
	return apiserver.New(c)
}

// answer measures what it is asked for until in ends.
func answer(ctx context.Context, server *apiserver.Server, size load.Size, in io.Reader, out io.Writer) error {
	l, err := load.New(server.ClientConfig("bench", user.SystemPrivilegedGroup), size)
	if err != nil {
		return err
	}
	if err := l.Prepare(ctx); err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		step, ok := load.FindStep(lines.Text())
		if !ok {
			return fmt.Errorf("no step is called %q", lines.Text())
		}
		sample, err := step.Run(ctx, l)
		if err != nil {
			return err
		}
		if err := encoder.Encode(sample); err != nil {
			return err
		}
	}
	return lines.Err()
}
