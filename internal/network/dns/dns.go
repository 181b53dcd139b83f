// Package dns is the cluster's DNS on one node: CoreDNS as a library, with its
// own kubernetes plugin answering from the node's informers. Names of the
// cluster zone come from live endpoints and carry a TTL of zero, so neither a
// name nor its absence is ever cached; all other names are forwarded.
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

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	corecache "github.com/coredns/coredns/plugin/cache"
	"github.com/coredns/coredns/plugin/forward"
	"github.com/coredns/coredns/plugin/kubernetes"
	"github.com/coredns/coredns/plugin/pkg/proxy"
	"github.com/coredns/coredns/plugin/pkg/transport"
	mdns "github.com/miekg/dns"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// Config says what to serve and where.
type Config struct {
	// Informers are shared with other parts of the node; whoever owns them starts them.
	Informers informers.SharedInformerFactory
	// Addresses are the cluster DNS addresses; they exist on this node already.
	Addresses []netip.Addr
	Port      int    // 0 means 53
	Domain    string // "cluster.local"
	// Upstream are the servers for all other names, "10.0.0.2:53"; none means
	// that such names are refused.
	Upstream []string
	Log      *slog.Logger
}

// Server is one node's DNS.
type Server struct {
	cfg     Config
	records *records
}

// New registers with the informers, so call it before they are started.
func New(cfg Config) (*Server, error) {
	if cfg.Port == 0 {
		cfg.Port = 53
	}
	r, err := newRecords(cfg.Informers, clock.RealClock{})
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, records: r}, nil
}

// Run serves until ctx is done. ready is called when every address is bound
// and the records are complete.
func (s *Server) Run(ctx context.Context, ready func()) error {
	if !cache.WaitFor(ctx, "", s.records.synced...) {
		return nil
	}
	handlers, stop, err := s.handlers()
	if err != nil {
		return err
	}
	defer stop()
	var running sync.WaitGroup
	failed := make(chan error, 2*len(s.cfg.Addresses))
	for _, addr := range s.cfg.Addresses {
		at := netip.AddrPortFrom(addr, uint16(s.cfg.Port)).String()
		server, err := dnsserver.NewServer(transport.DNS+"://"+at, []*dnsserver.Config{{
			Zone: ".", ListenHosts: []string{addr.String()}, Port: fmt.Sprint(s.cfg.Port), Transport: transport.DNS, Plugin: handlers,
		}})
		if err != nil {
			return err
		}
		packets, err := server.ListenPacket()
		if err != nil {
			return fmt.Errorf("cluster DNS cannot listen on udp %s: %w", at, err)
		}
		streams, err := server.Listen()
		if err != nil {
			packets.Close()
			return fmt.Errorf("cluster DNS cannot listen on tcp %s: %w", at, err)
		}
		running.Go(func() { failed <- server.ServePacket(packets) })
		running.Go(func() { failed <- server.Serve(streams) })
		// Closing the sockets ends the servers even if they were stopped before they began.
		defer func() { _, _, _ = server.Stop(), packets.Close(), streams.Close() }()
	}
	s.cfg.Log.Info("cluster DNS serves", "addresses", s.cfg.Addresses, "domain", s.cfg.Domain)
	ready()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		if errors.Is(err, net.ErrClosed) || err == nil {
			err = errors.New("a DNS socket was closed")
		}
		return err
	}
}

// handlers is the plugin chain: the cluster zone, then a cache for all other
// names, then the upstream servers.
func (s *Server) handlers() (chain []plugin.Plugin, stop func(), err error) {
	zone := mdns.Fqdn(s.cfg.Domain)
	// The plugin's settings have no setters: they come from its own configuration text.
	stanza := fmt.Sprintf("kubernetes %s in-addr.arpa ip6.arpa {\n pods insecure\n fallthrough in-addr.arpa ip6.arpa\n ttl 0\n}", zone)
	c := caddy.NewTestController("dns", stanza)
	c.Next()
	k, err := kubernetes.ParseStanza(c)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster domain %q: %w", s.cfg.Domain, err)
	}
	k.APIConn = s.records
	chain = append(chain, func(next plugin.Handler) plugin.Handler { k.Next = next; return k })
	if len(s.cfg.Upstream) == 0 {
		return append(chain, refuse), func() {}, nil
	}
	names := corecache.New()
	f := forward.New()
	for _, addr := range s.cfg.Upstream {
		f.SetProxy(proxy.NewProxy("forward", addr, transport.DNS))
	}
	chain = append(chain,
		func(next plugin.Handler) plugin.Handler { names.Next = next; return names },
		func(next plugin.Handler) plugin.Handler { f.Next = next; return f })
	return chain, func() { _ = f.OnShutdown() }, nil
}

// refuse ends a chain without upstream servers: such names are none of ours.
func refuse(plugin.Handler) plugin.Handler {
	return plugin.HandlerFunc(func(context.Context, mdns.ResponseWriter, *mdns.Msg) (int, error) {
		return mdns.RcodeRefused, nil
	})
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
