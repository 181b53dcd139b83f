package usage

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var t0 = time.UnixMilli(1_800_000_000_000)

func TestRates(t *testing.T) {
	web := Container{"default", "web-0", "nginx"}
	at := func(after, cpu time.Duration, start time.Time) Counters {
		return Counters{Start: start, Time: t0.Add(after), CPU: cpu, Memory: 1 << 20}
	}
	for what, c := range map[string]struct {
		before, after Counters
		want          *Rate
	}{
		"half a processor":          {at(0, time.Second, t0.Add(-time.Hour)), at(10*time.Second, 6*time.Second, t0.Add(-time.Hour)), &Rate{t0.Add(10 * time.Second), 10 * time.Second, 5e8, 1 << 20}},
		"no start":                  {at(0, time.Second, time.Time{}), at(time.Second, 3*time.Second, time.Time{}), &Rate{t0.Add(time.Second), time.Second, 2e9, 1 << 20}},
		"too close":                 {at(0, 0, time.Time{}), at(shortest-1, 0, time.Time{}), nil},
		"new":                       {Counters{}, at(10*time.Second, 2*time.Second, t0.Add(8*time.Second)), &Rate{t0.Add(10 * time.Second), 2 * time.Second, 1e9, 1 << 20}},
		"new, who knows since when": {Counters{}, at(10*time.Second, 2*time.Second, time.Time{}), nil},
		"too new":                   {Counters{}, at(10*time.Second, 0, t0.Add(10*time.Second)), nil},
		"started again":             {at(0, time.Second, t0.Add(-time.Hour)), at(10*time.Second, 4*time.Second, t0.Add(6*time.Second)), &Rate{t0.Add(10 * time.Second), 4 * time.Second, 1e9, 1 << 20}},
		"counted down":              {at(0, 9*time.Second, time.Time{}), at(10*time.Second, 4*time.Second, time.Time{}), nil},
	} {
		before := &Sample{Containers: map[Container]Counters{}}
		if !c.before.Time.IsZero() {
			before.Containers[web] = c.before
		}
		got := Between(before, &Sample{Node: c.after, Containers: map[Container]Counters{web: c.after}})
		r, ok := got.Containers[web]
		if (c.want != nil) != ok || ok && !cmp.Equal(r, *c.want) {
			t.Errorf("%s: %+v %v, want %+v", what, r, ok, c.want)
		}
	}
}

// What is written is read again, to the millisecond and the nanosecond.
func TestTextIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counters := rapid.Custom(func(t *rapid.T) Counters {
			c := Counters{
				Time:   t0.Add(time.Duration(rapid.IntRange(0, 1e9).Draw(t, "time")) * time.Millisecond),
				CPU:    time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "cpu")),
				Memory: rapid.Int64Range(0, 1<<50).Draw(t, "memory"),
			}
			if rapid.Bool().Draw(t, "started") {
				c.Start = t0.Add(-time.Duration(rapid.IntRange(0, 1e9).Draw(t, "start")) * time.Millisecond)
			}
			return c
		})
		name := rapid.StringMatching(`[a-z]([a-z0-9.-]{0,5}[a-z0-9])?`)
		key := rapid.Custom(func(t *rapid.T) Container {
			return Container{name.Draw(t, "namespace"), name.Draw(t, "pod"), name.Draw(t, "container")}
		})
		want := &Sample{Node: counters.Draw(t, "node"), Containers: rapid.MapOf(key, counters).Draw(t, "containers")}
		want.Node.Start = time.Time{} // not told
		got, err := Parse(want.Text())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A kubelet of upstream's wrote this.
func TestParseKubelets(t *testing.T) {
	const text = `# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="coredns",namespace="kube-system",pod="coredns-558bd4d5db-4dpjz"} 4.710169 1800000012125
container_memory_working_set_bytes{container="coredns",namespace="kube-system",pod="coredns-558bd4d5db-4dpjz"} 1.2070912e+07 1800000012125
container_start_time_seconds{container="coredns",namespace="kube-system",pod="coredns-558bd4d5db-4dpjz"} 1.80000000042e+09
node_cpu_usage_seconds_total 357.35491 1800000009402
node_memory_working_set_bytes 1.616273408e+09 1800000009402
pod_cpu_usage_seconds_total{namespace="kube-system",pod="coredns-558bd4d5db-4dpjz"} 4.67812 1800000012123
scrape_error 0
`
	got, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Sample{
		Node: Counters{Time: time.UnixMilli(1800000009402), CPU: 357354910 * time.Microsecond, Memory: 1616273408},
		Containers: map[Container]Counters{{"kube-system", "coredns-558bd4d5db-4dpjz", "coredns"}: {
			Start: time.UnixMilli(1800000000420), Time: time.UnixMilli(1800000012125), CPU: 4710169 * time.Microsecond, Memory: 12070912,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"node_cpu_usage_seconds_total x 1", "node_cpu_usage_seconds_total 1", "node_cpu_usage_seconds_total -1 1", "node_memory_working_set_bytes 1e30 1", "node_cpu_usage_seconds_total 1e18 1"} {
		if _, err := Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), "the use of a node") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
