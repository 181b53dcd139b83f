package statefulset

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/klog/v2"

	"berth.dev/berth/bench/api/figure"
)

var (
	rounds   = flag.Int("rounds", 3, "how often each row on toy nodes is measured")
	profiles = flag.String("profiles", "", "directory for CPU profiles of the rows on toy nodes")
	detail   = flag.Bool("detail", false, "print the writes of each row")
)

// BenchmarkToy is how much Berth itself costs: toy nodes make pods Ready at
// once, all else is real.
func BenchmarkToy(b *testing.B) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	table := figure.Table{Against: 0, Servers: []string{"Berth"}, Series: make([]figure.Series, 1)}
	row := func(name, unit string) {
		table.Rows = append(table.Rows, figure.Row{Name: name, Unit: unit, Less: true})
	}
	for _, part := range []struct {
		name string
		run  func(*toy, *rows)
	}{{"Parallel", parallel}, {"Ordered", ordered}, {"Many", many}, {"Resync", resync}} {
		b.Run(part.name, func(b *testing.B) {
			load, _ := os.ReadFile("/proc/loadavg")
			b.Logf("load before: %s", strings.TrimSpace(string(load)))
			for round := range *rounds {
				b.Run(fmt.Sprint(round), func(b *testing.B) {
					r := &rows{b: b, sample: figure.Sample{}, row: row}
					if round > 0 {
						r.row = func(string, string) {}
					}
					part.run(newToy(b), r)
					table.Series[0] = append(table.Series[0], r.sample)
				})
			}
		})
	}
	fmt.Fprintf(os.Stderr, "\n%s", table)
}

// rows are what one round measures.
type rows struct {
	b      *testing.B
	sample figure.Sample
	row    func(name, unit string)
}

func (r *rows) put(name, unit string, value float64) {
	r.row(name, unit)
	r.sample[name] = value
}

// measure puts the time of do, its processor time and its writes a pod.
func (r *rows) measure(t *toy, name string, pods int, do func()) []write {
	t.b.Helper()
	from, before := t.journal.len(), cpuSeconds()
	t.mu.Lock()
	clear(t.asked)
	t.mu.Unlock()
	stop := profile(t.b, name)
	began := time.Now()
	do()
	took := time.Since(began)
	stop()
	used := cpuSeconds() - before
	writes := t.journal.since(from)
	lines, total, _ := tally(writes)
	r.put(name, "s", took.Seconds())
	r.put(name+": processor", "ms a pod", 1000*used/float64(pods))
	r.put(name+": writes", "a pod", float64(total)/float64(pods))
	if *detail {
		t.mu.Lock()
		for _, who := range slices.Sorted(maps.Keys(t.asked)) {
			lines = append(lines, fmt.Sprintf("    %s %d", who, t.asked[who]))
		}
		t.mu.Unlock()
		fmt.Fprintf(os.Stderr, "%s: %s, %.1f s of processor, %d writes:\n%s\n", name, took, used, total, strings.Join(lines, "\n"))
	}
	return writes
}

func profile(b *testing.B, name string) (stop func()) {
	b.Helper()
	if *profiles == "" {
		return func() {}
	}
	f, err := os.Create(filepath.Join(*profiles, strings.ReplaceAll(name, " ", "-")+".prof"))
	if err != nil {
		b.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		b.Fatal(err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}

func parallel(t *toy, r *rows) {
	const pods = 1000
	before := heapMB()
	from := t.journal.len()
	r.measure(t, "Parallel 1,000", pods, func() {
		t.create("web", pods, appsv1.ParallelPodManagement)
		t.await("are ready", 1, allReady)
	})
	t.events(map[string]int{"SuccessfulCreate": pods, "Scheduled": pods})
	r.put("slowest event of Parallel 1,000", "s", slices.Max(eventDelays(t.journal.since(from))).Seconds())
	r.put("heap", "KB a pod", 1024*(heapMB()-before)/pods)
	r.put("writes to a pod and its address before it is Ready", "a pod", t.perPod(pods))
	r.measure(t, "delete 1,000", pods, t.deleteAll)
}

// perPod is how often pods and addresses were written, for each of the pods.
func (t *toy) perPod(pods int) float64 {
	t.journal.mu.Lock()
	defer t.journal.mu.Unlock()
	n := int64(0)
	for key, versions := range t.journal.keys {
		if k := kind(key); k == "pods" || k == "spiderendpoints" {
			n += versions
		}
	}
	return float64(n) / float64(pods)
}

func ordered(t *toy, r *rows) {
	const pods = 200
	writes := r.measure(t, "OrderedReady 200", pods, func() {
		t.create("web", pods, appsv1.OrderedReadyPodManagement)
		t.await("are ready", 1, allReady)
	})
	taken := steps(writes, t.readyAt, "web", pods)
	if len(taken) != pods-1 {
		t.b.Errorf("%d steps", len(taken))
	}
	r.put("step from Ready to the next pod, p50", "ms", figure.Percentile(taken, 50))
	r.put("step, p99", "ms", figure.Percentile(taken, 99))
	r.put("step, longest", "ms", figure.Percentile(taken, 100))
	t.events(map[string]int{"SuccessfulCreate": pods, "Scheduled": pods})
	r.measure(t, "rolling update of 200", pods, func() {
		t.restartSet("web")
		t.await("are rolled", 1, rolled)
	})
	t.events(map[string]int{"SuccessfulCreate": 2 * pods, "SuccessfulDelete": pods, "Scheduled": 2 * pods})
	r.measure(t, "delete 200", pods, t.deleteAll)
}

func many(t *toy, r *rows) {
	const sets, each = 100, 10
	r.measure(t, "100 sets of 10", sets*each, func() {
		for i := range sets {
			t.create(fmt.Sprintf("web%d", i), each, appsv1.ParallelPodManagement)
		}
		t.await("are ready", sets, allReady)
	})
	t.events(map[string]int{"SuccessfulCreate": sets * each, "Scheduled": sets * each})
	r.measure(t, "delete 100 sets of 10", sets*each, t.deleteAll)
}

// resync restarts all loops, so that each set is looked at again.
func resync(t *toy, r *rows) {
	const sets = 1000
	for i := range sets {
		t.create(fmt.Sprintf("web%d", i), 1, appsv1.OrderedReadyPodManagement)
	}
	t.await("are ready", sets, allReady)
	t.events(map[string]int{"SuccessfulCreate": sets, "Scheduled": sets})
	t.mu.Lock()
	clear(t.reconcile)
	t.mu.Unlock()
	began, before := time.Now(), t.journal.revision()
	writes := r.measure(t, "re-sync of 1,000 sets", sets, func() {
		t.RestartLoops(t.b)
		t.until("all sets to be looked at", func() bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			return len(t.reconcile) == sets
		})
	})
	t.b.Logf("restarted and looked at all in %s", time.Since(began))
	time.Sleep(2 * time.Second) // whoever would write has had the time to
	r.put("re-sync: writes in all", "", float64(t.journal.revision()-before))
	if len(writes) > 0 {
		lines, _, _ := tally(writes)
		t.b.Logf("writes of the re-sync: %s", strings.Join(lines, ", "))
	}
}
