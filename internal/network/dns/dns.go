// Package dns is the cluster's DNS on one node: CoreDNS as a library, with its
// own kubernetes plugin answering from the node's informers. What it does is
// said by the Corefile in the ConfigMap kube-system/coredns, followed while it
// runs. Names of the cluster zone come from live endpoints and are kept by no
// cache, and neither is their absence.
package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coredns/caddy"
	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
)

// Config says what to serve and where.
type Config struct {
	// Informers are shared with other parts of the node; whoever owns them starts them.
	Informers informers.SharedInformerFactory
	// Corefile watches the ConfigMap kube-system/coredns and no other.
	Corefile cache.SharedIndexInformer
	// Events tell of a Corefile that cannot be.
	Events record.EventRecorder
	// Addresses are the cluster DNS addresses; they exist on this node already.
	Addresses []netip.Addr
	Domain    string // "cluster.local"
	// Upstream are the servers of the machine's resolv.conf, "10.0.0.2:53"; none
	// means that names that it would be asked for are refused.
	Upstream []string
	Log      *slog.Logger
}

// Server is one node's DNS.
type Server struct {
	cfg     Config
	id      string
	records *records
	synced  []cache.DoneChecker
	wake    chan struct{}
	// What is in force, and the last text that was judged.
	running *caddy.Instance
	judged  string
}

var (
	servers sync.Map // *Server by ID: how a Corefile's directive finds its own
	serial  atomic.Int64
)

// New registers with the informers, so call it before they are started.
func New(cfg Config) (*Server, error) {
	r, err := newRecords(cfg.Informers, clock.RealClock{})
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, id: fmt.Sprint(serial.Add(1)), records: r, synced: r.synced, wake: make(chan struct{}, 1)}
	reg, err := cfg.Corefile.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.touch() }, UpdateFunc: func(any, any) { s.touch() }, DeleteFunc: func(any) { s.touch() },
	})
	if err != nil {
		return nil, err
	}
	s.synced = append(s.synced, reg.HasSyncedChecker())
	return s, nil
}

func (s *Server) touch() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run serves until ctx is done. ready is called when every address is bound
// and the records are complete.
func (s *Server) Run(ctx context.Context, ready func()) error {
	if !cache.WaitFor(ctx, "", s.synced...) {
		return nil
	}
	servers.Store(s.id, s)
	defer servers.Delete(s.id)
	if err := s.begin(); err != nil {
		return err
	}
	ended := make(chan struct{})
	defer func() { s.end(); <-ended }()
	go func(first *caddy.Instance) { defer close(ended); first.Wait() }(s.running) // its successors count too
	s.cfg.Log.Info("cluster DNS serves", "addresses", s.cfg.Addresses, "domain", s.cfg.Domain)
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return errors.New("the sockets of the cluster DNS were closed")
		case <-s.wake:
			s.follow()
		}
	}
}

// configMap is what the user wants, or nil.
func (s *Server) configMap() *corev1.ConfigMap {
	for _, obj := range s.cfg.Corefile.GetStore().List() {
		if m, ok := obj.(*corev1.ConfigMap); ok && m.Namespace == metav1.NamespaceSystem && m.Name == ConfigMap {
			return m
		}
	}
	return nil
}

// Upstreams reads the servers of a resolv.conf as "address:53", without those
// in skip (our own addresses, which would make a loop).
func Upstreams(resolvConf string, skip []netip.Addr) []string {
	conf, err := mdns.ClientConfigFromReader(strings.NewReader(resolvConf))
	if err != nil {
		return nil
	}
	var out []string
next:
	for _, server := range conf.Servers {
		for _, own := range skip {
			if a, err := netip.ParseAddr(server); err == nil && a == own {
				continue next
			}
		}
		out = append(out, net.JoinHostPort(server, conf.Port))
	}
	return out
}
