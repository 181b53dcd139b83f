package snapshot

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// What alerts want to know: how old the newest snapshot is, and whether it goes wrong.
var (
	newestMetric = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name: "berth_snapshot_newest_timestamp_seconds", StabilityLevel: metrics.ALPHA,
		Help: "When the newest scheduled snapshot of the datastore that lies in a place was taken; 0 for none.",
	}, []string{"place"})
	failuresMetric = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "berth_snapshot_failures_total", StabilityLevel: metrics.ALPHA,
		Help: "How often a snapshot of the datastore could not be put into a place.",
	}, []string{"place"})
)

var registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(newestMetric, failuresMetric) })

func (p *Place) measure(place string, err error) {
	var at float64
	if !p.Time.IsZero() {
		at = float64(p.Time.Unix())
	}
	newestMetric.WithLabelValues(place).Set(at)
	failures := failuresMetric.WithLabelValues(place)
	if err != nil {
		failures.Inc()
	}
}
