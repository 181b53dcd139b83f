package dns

import (
	"context"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/kubernetes"
	mdns "github.com/miekg/dns"
)

// cluster is the directive kubernetes: CoreDNS' own, but with the records of
// the server that the first argument names.
func cluster(c *caddy.Controller) error {
	c.Next()
	c.NextArg()
	found, ok := servers.Load(c.Val())
	if !ok {
		return c.Errf("there is no DNS server %s", c.Val())
	}
	k, err := kubernetes.ParseStanza(c)
	if err != nil {
		return plugin.Error("kubernetes", err)
	}
	if c.Next() {
		return plugin.Error("kubernetes", plugin.ErrOnce)
	}
	k.APIConn = found.(*Server).records
	add(c, func(next plugin.Handler) plugin.Handler { k.Next = next; return zone{k} })
	return nil
}

// zone answers for the cluster. Whatever the ttl of what exists, nobody is to
// keep that something does not: a new pod would be missed.
type zone struct{ *kubernetes.Kubernetes }

// ServeDNS implements plugin.Handler.
func (z zone) ServeDNS(ctx context.Context, w mdns.ResponseWriter, r *mdns.Msg) (int, error) {
	return z.Kubernetes.ServeDNS(ctx, &fresh{ResponseWriter: w, zones: z.Zones}, r)
}

// fresh has absence expire at once.
type fresh struct {
	mdns.ResponseWriter
	zones plugin.Zones
}

// WriteMsg implements dns.ResponseWriter.
func (w *fresh) WriteMsg(m *mdns.Msg) error {
	if len(m.Answer) > 0 {
		return w.ResponseWriter.WriteMsg(m)
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*mdns.SOA); ok && w.zones.Matches(soa.Hdr.Name) == soa.Hdr.Name {
			soa.Hdr.Ttl, soa.Minttl = 0, 0
		}
	}
	return w.ResponseWriter.WriteMsg(m)
}
