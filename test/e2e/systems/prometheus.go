package systems

// Prometheus is examples/prometheus: it asks Berth, nobody writes to it.
var Prometheus = System{
	Name:      "prometheus",
	Manifests: []string{"scrape.yaml", "prometheus.yaml"},
	Set:       "prometheus",
}
