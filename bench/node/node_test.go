// Package node measures the node agent on real containers, and beside it the
// floor: what containerd and runc need for the same containers when nobody
// else asks them for anything. Run it by hand:
//
//	go test -run '^$' -bench . -benchtime 1x -timeout 60m ./bench/node
package node

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

var (
	rounds = flag.Int("rounds", 3, "how often everything is measured")
	single = flag.Int("single", 20, "pods that are measured one after the other in a round")
)

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// bench is one cluster under measurement.
type bench struct {
	*testing.B
	*cluster.Cluster
	*watcher
	sample figure.Sample
}

// BenchmarkPods measures pods by themselves and in numbers, and StatefulSets.
func BenchmarkPods(b *testing.B) {
	c := cluster.New(b, "bench").Start()
	t := &bench{B: b, Cluster: c, watcher: watch(b, c.Client())}
	runtime := dial(b, c)
	var series figure.Series
	for range *rounds {
		t.sample = figure.Sample{}
		t.floor(runtime)
		t.pods()
		t.bursts(runtime)
		t.sets()
		series = append(series, t.sample)
	}
	report(b, series)
}

// BenchmarkIdle looks at 100 pods that do nothing.
func BenchmarkIdle(b *testing.B) {
	var series figure.Series
	for range *rounds {
		sample := figure.Sample{}
		idle(b, sample)
		series = append(series, sample)
	}
	report(b, series)
}

// BenchmarkIdleAgent looks at them on a node whose server is another machine.
func BenchmarkIdleAgent(b *testing.B) {
	var series figure.Series
	for range *rounds {
		sample := figure.Sample{}
		idleAgent(b, sample)
		series = append(series, sample)
	}
	report(b, series)
}

func report(b *testing.B, series figure.Series) {
	b.Helper()
	fmt.Printf("%s\n", figure.Table{Rows: rows, Servers: []string{"berth"}, Series: []figure.Series{series}})
	b.ReportMetric(0, "ns/op")
}

var rows = []figure.Row{
	{Name: floorStart, Unit: "ms", Less: true},
	{Name: floorStart + " p99", Unit: "ms", Less: true},
	{Name: floorStop, Unit: "ms", Less: true},
	{Name: floorMany, Unit: "1/s"},
	{Name: createRunning, Unit: "ms", Less: true},
	{Name: createRunning + " p99", Unit: "ms", Less: true},
	{Name: createReady, Unit: "ms", Less: true},
	{Name: createReady + " p99", Unit: "ms", Less: true},
	{Name: probedReady, Unit: "ms", Less: true},
	{Name: probedReady + " p99", Unit: "ms", Less: true},
	{Name: hostReady, Unit: "ms", Less: true},
	{Name: overFloor, Unit: "times", Less: true},
	{Name: hostOverFloor, Unit: "times", Less: true},
	{Name: deleteGone, Unit: "ms", Less: true},
	{Name: deleteGone + " p99", Unit: "ms", Less: true},
	{Name: crashRestarted, Unit: "ms", Less: true},
	{Name: crashRestarted + " p99", Unit: "ms", Less: true},
	{Name: burst(30), Unit: "s", Less: true},
	{Name: burst(100), Unit: "s", Less: true},
	{Name: burst(100) + ": rate", Unit: "1/s"},
	{Name: burst(100) + ": processor a pod", Unit: "ms", Less: true},
	{Name: burst(100) + ": of it berth", Unit: "ms", Less: true},
	{Name: burst(100) + ": of it containerd", Unit: "ms", Less: true},
	{Name: burst(100) + ": gone", Unit: "s", Less: true},
	{Name: orderedUp, Unit: "s", Less: true},
	{Name: orderedBare, Unit: "s", Less: true},
	{Name: orderedRoll, Unit: "s", Less: true},
	{Name: orderedDown, Unit: "s", Less: true},
	{Name: replaced, Unit: "ms", Less: true},
	{Name: parallelUp(10, true), Unit: "s", Less: true},
	{Name: parallelUp(10, false), Unit: "s", Less: true},
	{Name: parallelUp(30, true), Unit: "s", Less: true},
	{Name: parallelUp(30, false), Unit: "s", Less: true},
	{Name: idleCPU(false), Unit: "% core", Less: true},
	{Name: idleCPU(true), Unit: "% core", Less: true},
	{Name: idleRuntime, Unit: "% core", Less: true},
	{Name: idleMemory, Unit: "MB", Less: true},
	{Name: agentCPU, Unit: "% core", Less: true},
	{Name: agentMemory, Unit: "MB", Less: true},
	{Name: idleShims, Unit: "MB", Less: true},
}
