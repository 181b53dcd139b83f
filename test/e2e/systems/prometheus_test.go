package systems

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// Prometheus asks the API server, the node's agent and its containers, and keeps
// what it was told when its pod is killed, lost and replaced.
func TestPrometheus(t *testing.T) {
	r := up(t, Prometheus)
	r.C.Eventually(0, "berth=1 containers=1 nodes=1", func() string {
		found, err := r.query("up")
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, s := range found {
			all = append(all, fmt.Sprintf("%s=%v", s.Metric["job"], s.Value[1]))
		}
		return sorted(all)
	})
	for _, series := range []string{
		`apiserver_request_total{job="berth"}`,
		`container_memory_working_set_bytes{pod="prometheus-0"}`,
		`kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="data-prometheus-0"}`,
	} {
		r.C.Eventually(0, "found", func() string {
			switch found, err := r.query(series); {
			case err != nil:
				return err.Error()
			case len(found) == 0:
				return series + " is not there"
			}
			return "found"
		})
	}

	seen := r.samples(nil)
	for _, lose := range []func(){
		func() { r.kill("prometheus-0", "prometheus ") },
		func() { r.Lose(t, r.C, "prometheus-0") },
		func() { r.Roll(t, r.C) },
	} {
		lose()
		seen = r.samples(seen)
	}
	t.Logf("%d samples of one series, none lost", len(seen))
}

// samples waits until there are more of one series than were seen, and all that were.
func (r *run) samples(seen []float64) (now []float64) {
	r.T.Helper()
	r.C.Eventually(0, "more", func() string {
		found, err := r.query(`up{job="berth"}[1d]`)
		if err != nil || len(found) != 1 {
			return fmt.Sprintf("%d series, %v", len(found), err)
		}
		now = nil
		for _, sample := range found[0].Values {
			at, _ := sample[0].(float64)
			now = append(now, at)
		}
		for _, at := range seen {
			if !slices.Contains(now, at) {
				r.T.Fatalf("the sample of %v is lost", at)
			}
		}
		if len(now) <= len(seen)+2 {
			return fmt.Sprintf("%d samples, %d before", len(now), len(seen))
		}
		return "more"
	})
	return now
}

// series is one result of a query.
type series struct {
	Metric map[string]string
	Value  []any
	Values [][]any
}

func (r *run) query(text string) ([]series, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: r.Dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(r.T.Context(), http.MethodGet, "http://prometheus:9090/api/v1/query?query="+url.QueryEscape(text), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []series }
	}
	err = json.NewDecoder(response.Body).Decode(&answer)
	if answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Data.Result, err
}
