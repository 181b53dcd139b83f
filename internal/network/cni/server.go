// Package cni gives pods their network on one node: it answers the CNI plugin
// on DIR/run/cni.sock, waits for the address that the ipam loop grants, and
// lets package link make the wire. It keeps no state of its own: what is
// granted is in SpiderEndpoints, what is made is in the kernel.
package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/network/cni/call"
	"berth.dev/berth/internal/network/link"
)

// patience is how long ADD waits for a grant.
const patience = 10 * time.Second

// Config says whose pods are served.
type Config struct {
	// Client has the node's identity, which may read its own SpiderEndpoints.
	Client   *rest.Config
	NodeName string
	Dir      datadir.Dir
	Log      *slog.Logger
	// NodeIPs are what pods see the node's connections come from, and MTU is
	// that of the pods' interfaces; unset, both are the uplink's.
	NodeIPs []netip.Addr
	MTU     int
	// Bundle is the folder with cni/, the plugins that make interfaces in networks
	// of the machine, and Cluster are what such pods reach by their node.
	Bundle  string
	Cluster []netip.Prefix
	// Ending is closed when a pod is to end: then nobody gives it an address any
	// more. nil, or a nil channel, does not know.
	Ending func(uid types.UID) <-chan struct{}
	// Guard returns when a pod may have its network: what it may send and receive
	// is in force. nil means that there is nothing to wait for.
	Guard func(ctx context.Context, pod types.NamespacedName, uid types.UID, addresses []netip.Addr) error
	// Events records what is wrong with a pod's network; nil records nothing.
	Events record.EventRecorder
}

// Server answers the CNI plugin.
type Server struct {
	config  Config
	watch   func(context.Context)
	grants  *grants
	wait    time.Duration
	waits   *waits
	records records
	api     kubernetes.Interface

	wires    sync.WaitGroup // requests and removals under way
	mu       sync.Mutex
	removing map[string]chan struct{} // by host name of the wire
	// detections are those of sandboxes that are there; troubled says since when
	// pods wait because of what they found.
	detections map[string]*detection
	early      map[types.NamespacedName]*early
	troubled   map[types.UID]metav1.Time
}

// New prepares a server; it touches nothing.
func New(config Config) (*Server, error) {
	s := newServer(config)
	var err error
	if s.api, err = kubernetes.NewForConfig(config.Client); err != nil {
		return nil, fmt.Errorf("client for pods: %w", err)
	}
	s.watch, err = s.grants.follow(config.Client, config.NodeName)
	return s, err
}

func newServer(config Config) *Server {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config: config, grants: newGrants(), wait: patience, waits: newWaits(), records: recordsOf(config.Dir, config.Bundle), removing: map[string]chan struct{}{},
		detections: map[string]*detection{}, early: map[types.NamespacedName]*early{}, troubled: map[types.UID]metav1.Time{},
	}
	s.grants.fresh, s.grants.forgotten = s.askEarly, s.forgetEarly
	return s
}

// Run serves until ctx is done. It is ready when the socket listens and the
// runtime's network configuration is in place; the API need not answer yet.
func (s *Server) Run(ctx context.Context, ready func()) error {
	if up, err := link.FindUplink(); err == nil {
		if len(s.config.NodeIPs) == 0 {
			s.config.NodeIPs = up.IPs
		}
		if s.config.MTU == 0 {
			s.config.MTU = up.MTU
		}
	}
	l, err := listen(s.config.Dir.CNISocket())
	if err != nil {
		return err
	}
	if err := WriteConfig(s.config.Dir); err != nil {
		return errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	s.wires.Go(func() { s.watch(ctx) })
	s.wires.Go(func() { s.sweep(ctx) })
	defer s.wires.Wait()
	ready()
	for {
		c, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("CNI socket %s: %w", s.config.Dir.CNISocket(), err)
		}
		s.wires.Go(func() { s.serve(ctx, c) })
	}
}

// listen takes the socket over; the data directory's lock says that whoever
// made a stale one is gone.
func listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("CNI socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("CNI socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("CNI socket: %w", err), l.Close())
	}
	return l, nil
}

// serve answers one request. When the plugin goes away, waiting ends.
func (s *Server) serve(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	req, ns, err := call.Receive(c)
	if err != nil {
		s.config.Log.Warn("CNI request cannot be read", "error", err)
		return
	}
	if ns != nil {
		defer ns.Close()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = c.SetReadDeadline(time.Time{})
	go func() { // ends when c is closed
		_, _ = io.Copy(io.Discard, c)
		cancel()
	}()
	start := time.Now()
	result, err := s.handle(ctx, req, ns)
	log := s.config.Log.With("command", req.Command, "sandbox", req.ContainerID, "args", req.Args, "took", time.Since(start))
	var resp call.Response
	if err != nil {
		failure := &call.Error{Code: call.CodeFailed, Msg: err.Error()}
		errors.As(err, &failure)
		resp.Error = failure
		log.Warn("CNI request failed", "error", err)
	} else {
		log.Debug("CNI request done")
		resp.Result = result
	}
	if err := json.NewEncoder(c).Encode(resp); err != nil && ctx.Err() == nil {
		log.Warn("CNI answer not delivered", "error", err)
	}
}

func (s *Server) handle(ctx context.Context, req call.Request, ns *os.File) (json.RawMessage, error) {
	switch req.Command {
	case call.Add:
		return s.add(ctx, req, ns)
	case call.Del:
		return nil, s.end(ctx, req, ns)
	case call.Check:
		return nil, s.check(req, ns)
	case call.GC:
		return nil, s.collect(ctx, req)
	case call.Status:
		return nil, nil
	}
	return nil, &call.Error{Code: call.CodeInvalidEnvironment, Msg: fmt.Sprintf("CNI_COMMAND %q is not known", req.Command)}
}
