package dns

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	mdns "github.com/miekg/dns"
)

var loopLog = clog.NewWithPlugin("loop")

// loop finds out whether what is forwarded comes back. CoreDNS ends its process
// then; here that would be the node, so only forwarding ends.
type loop struct {
	next  plugin.Handler
	zone  string
	name  string // a question that nobody else asks
	seen  atomic.Int32
	found atomic.Bool
}

// again is how often a question has to come before it goes round in circles:
// once is ours, another may be a repetition.
const again = 2

func guarded(c *caddy.Controller) error {
	c.Next()
	if c.NextArg() {
		return plugin.Error("loop", c.ArgErr())
	}
	if c.Next() {
		return plugin.Error("loop", plugin.ErrOnce)
	}
	conf := dnsserver.GetConfig(c)
	l := &loop{zone: conf.Zone, name: rand.Text() + "." + rand.Text() + "." + conf.Zone}
	if conf.Zone == "." {
		l.name = rand.Text() + "." + rand.Text() + "."
	}
	add(c, func(next plugin.Handler) plugin.Handler { l.next = next; return l })
	over, asking := make(chan struct{}), sync.WaitGroup{}
	c.OnStartup(func() error {
		asking.Go(func() { l.ask(over, net.JoinHostPort(conf.ListenHosts[0], conf.Port)) })
		return nil
	})
	c.OnShutdown(func() error { close(over); asking.Wait(); return nil })
	return nil
}

// ask sends the question once the server hears it.
func (l *loop) ask(over <-chan struct{}, server string) {
	client := mdns.Client{Timeout: time.Second}
	for range 30 {
		if _, _, err := client.Exchange(new(mdns.Msg).SetQuestion(mdns.CanonicalName(l.name), mdns.TypeHINFO), server); err == nil || l.found.Load() {
			return
		}
		select {
		case <-over:
			return
		case <-time.After(time.Second):
		}
		l.seen.Store(0)
	}
}

// ServeDNS implements plugin.Handler.
func (l *loop) ServeDNS(ctx context.Context, w mdns.ResponseWriter, r *mdns.Msg) (int, error) {
	if r.Question[0].Qtype == mdns.TypeHINFO && mdns.CanonicalName(r.Question[0].Name) == mdns.CanonicalName(l.name) &&
		l.seen.Add(1) > again && l.found.CompareAndSwap(false, true) {
		loopLog.Errorf("queries for zone %q that are forwarded come back from %s: nothing is forwarded any more; name other servers in the Corefile", l.zone, w.RemoteAddr())
	}
	if l.found.Load() {
		return mdns.RcodeServerFailure, nil
	}
	return plugin.NextOrFailure(l.Name(), l.next, ctx, w, r)
}

// Name implements plugin.Handler.
func (*loop) Name() string { return "loop" }

// refused ends a chain that has nobody to ask: such names are none of ours.
func refused(c *caddy.Controller) error {
	c.Next()
	zones := plugin.OriginsFromArgsOrServerBlock(c.RemainingArgs(), c.ServerBlockKeys)
	add(c, func(next plugin.Handler) plugin.Handler { return refuse{next, zones} })
	return nil
}

type refuse struct {
	next  plugin.Handler
	zones plugin.Zones
}

// ServeDNS implements plugin.Handler.
func (h refuse) ServeDNS(ctx context.Context, w mdns.ResponseWriter, r *mdns.Msg) (int, error) {
	if h.zones.Matches(r.Question[0].Name) == "" {
		return plugin.NextOrFailure(h.Name(), h.next, ctx, w, r)
	}
	return mdns.RcodeRefused, nil
}

// Name implements plugin.Handler.
func (refuse) Name() string { return "refuse" }
