// Package api measures the API server, and upstream's beside it on the same
// etcd if there is one. Run it by hand:
//
//	go test -bench . -benchtime 1x -timeout 60m ./bench/api -upstream PATH
package api

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/bench/api/load"
	"berth.dev/berth/bench/figure"
	"berth.dev/berth/test/e2e/host"
)

var (
	upstream = flag.String("upstream", "", "upstream's kube-apiserver, to compare with")
	rounds   = flag.Int("rounds", 5, "how often each figure is taken")
	pods     = flag.Int("pods", 10000, "how many pods are listed")
	settle   = flag.Duration("settle", time.Minute, "how long an idle server is left alone before it is looked at")
	only     = flag.String("steps", "", "take these steps alone, by their names with commas between")
	profiles = flag.String("profiles", "", "folder for a CPU and a memory profile of each step of Berth")
)

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// BenchmarkAPI takes turns between the servers in each step of each round: what
// else the machine does then hits all of them.
func BenchmarkAPI(b *testing.B) {
	size := load.DefaultSize
	size.Creates = max(1, *pods / *rounds)
	bench := newBench(b, size)
	servers := bench.servers()
	table := figure.Table{Rows: rows, Series: make([]figure.Series, len(servers))}
	for i, s := range servers {
		table.Servers = append(table.Servers, s.name())
		if s.name() == upstreamName {
			table.Against = i
		}
	}
	record := func(i int, sample figure.Sample) { table.Series[i] = append(table.Series[i], sample) }

	idle(b, servers, "empty", record)
	for _, steps := range [][]load.Step{load.Writing, load.Reading} {
		for round := range *rounds {
			for _, step := range steps {
				if *only != "" && !slices.Contains(strings.Split(*only, ","), step.Name) {
					continue
				}
				order := []int{0, 1, 2, 3}[:len(servers)]
				if round%2 == 1 {
					slices.Reverse(order)
				}
				for _, i := range order {
					sample, err := servers[i].measure(step)
					if err != nil {
						b.Fatalf("%s: %v\n%s", servers[i].name(), err, servers[i].lastWords())
					}
					record(i, sample)
				}
			}
		}
	}
	idle(b, servers, "full", record)
	// A benchmark's log would be cut off.
	fmt.Printf("%d pods, %d rounds: medians and ranges\n\n%s\n", *pods, *rounds, table)
	for _, row := range rows {
		if ratio, ok := table.Ratio(row); ok && ratio < 1 {
			fmt.Printf("worse than upstream: %s (%.2f)\n", row.Name, ratio)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// idle looks at all servers at once after leaving them alone.
func idle(b *testing.B, servers []server, when string, record func(int, figure.Sample)) {
	b.Helper()
	const span = 20 * time.Second
	time.Sleep(*settle)
	before := make([]usage, len(servers))
	for i, s := range servers {
		before[i] = s.usage()
	}
	time.Sleep(span)
	for i, s := range servers {
		now := s.usage()
		if now.rss == 0 {
			continue // the one with its load in the same process
		}
		record(i, figure.Sample{
			"idle RSS, " + when:     now.rss,
			"idle RssAnon, " + when: now.anon,
			"idle CPU, " + when:     100 * (now.cpu - before[i].cpu) / span.Seconds(),
		})
	}
	if s, ok := servers[0].(*overTLS); ok {
		if err := s.profileIdle(when); err != nil {
			b.Fatal(err)
		}
	}
}
