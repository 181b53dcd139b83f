package cni

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// WaitMetric is by how much addresses made starts of pods longer.
const WaitMetric = "berth_pod_address_wait_seconds"

// waits are how long starts stood still because their addresses were not
// granted yet. What was granted while sandboxes were prepared cost them nothing.
type waits struct {
	seen prometheus.Histogram
	page http.Handler
}

func newWaits() *waits {
	w := &waits{seen: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: WaitMetric, Help: "How long starts of pods stood still until their addresses were granted.",
		Buckets: []float64{.0001, .00025, .0005, .001, .002, .003, .004, .005, .0075, .01, .015, .02, .03, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.seen)
	w.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	return w
}

func (w *waits) since(began time.Time) { w.seen.Observe(time.Since(began).Seconds()) }

// Metrics adds to the node's page of metrics, in the text format that this has.
func (s *Server) Metrics(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	r.Header.Del("Accept")
	s.waits.page.ServeHTTP(w, r)
}
