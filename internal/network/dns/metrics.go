package dns

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/pkg/reuseport"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

var metricsLog = clog.NewWithPlugin("prometheus")

// counted is the directive prometheus: CoreDNS' own counting, but shown without
// what else the process counts, which is not every pod's to see.
func counted(c *caddy.Controller) error {
	c.Next()
	args := c.RemainingArgs()
	if len(args) != 1 {
		return plugin.Error("prometheus", c.ArgErr())
	}
	if c.NextBlock() {
		return plugin.Error("prometheus", c.Errf("unknown option: %s", c.Val()))
	}
	if _, _, err := net.SplitHostPort(args[0]); err != nil {
		return plugin.Error("prometheus", err)
	}
	m := metrics.New(args[0])
	for _, z := range plugin.OriginsFromArgsOrServerBlock(nil, c.ServerBlockKeys) {
		m.AddZone(z)
	}
	add(c, func(next plugin.Handler) plugin.Handler { m.Next = next; return m })
	shown := &page{addr: args[0]}
	c.OnStartup(shown.start)
	c.OnRestartFailed(shown.start)
	c.OnRestart(shown.stop)
	c.OnFinalShutdown(shown.stop)
	return nil
}

// page serves /metrics.
type page struct {
	addr   string
	server *http.Server
}

func (p *page) start() error {
	l, err := reuseport.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{}))
	p.server = &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second}
	go func(s *http.Server) {
		if err := s.Serve(l); err != nil && err != http.ErrServerClosed {
			metricsLog.Errorf("no metrics at %s: %s", p.addr, err)
		}
	}(p.server)
	return nil
}

func (p *page) stop() error {
	if p.server == nil {
		return nil
	}
	err := p.server.Close()
	p.server = nil
	return err
}

func gather() ([]*dto.MetricFamily, error) {
	all, err := prometheus.DefaultGatherer.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		name := f.GetName()
		return !strings.HasPrefix(name, "coredns_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_")
	}), err
}
