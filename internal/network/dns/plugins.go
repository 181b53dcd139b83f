package dns

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	// The directives that a Corefile may have.
	_ "github.com/coredns/coredns/plugin/any"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/bufsize"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/cancel"
	_ "github.com/coredns/coredns/plugin/chaos"
	_ "github.com/coredns/coredns/plugin/dns64"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/header"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/local"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/metadata"
	_ "github.com/coredns/coredns/plugin/minimal"
	_ "github.com/coredns/coredns/plugin/nsid"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"
	_ "github.com/coredns/coredns/plugin/timeouts"
	_ "github.com/coredns/coredns/plugin/whoami"

	"berth.dev/berth/internal/plan/corefile"
)

// directives are in the order in which a query meets them: CoreDNS' own, but
// the cache stands behind the cluster's names, which no cache is to keep.
var directives = []string{
	"metadata", "cancel", "timeouts", "reload", "nsid", "bufsize", "bind", "ready", "health", corefile.Metrics, "errors", "log", "local",
	"dns64", "any", "chaos", "loadbalance", "rewrite", "header", "minimal", "template", "hosts", corefile.Cluster, "cache", "loop", "forward",
	corefile.Refuse, "whoami",
}

func init() {
	plugin.Register("reload", ignored)
	plugin.Register(corefile.Cluster, cluster)
	plugin.Register(corefile.Metrics, counted)
	plugin.Register(corefile.Refuse, refused)
	plugin.Register("loop", guarded)
}

// ignored is reload: a change of the ConfigMap is always followed, and at once.
func ignored(*caddy.Controller) error { return nil }

// add puts a handler in the chain.
func add(c *caddy.Controller, p plugin.Plugin) { dnsserver.GetConfig(c).AddPlugin(p) }
