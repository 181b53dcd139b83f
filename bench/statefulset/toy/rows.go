package toy

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

	"k8s.io/klog/v2"

	"berth.dev/berth/bench/figure"
)

var (
	rounds   = flag.Int("rounds", 3, "how often each row on toy nodes is measured")
	profiles = flag.String("profiles", "", "directory for CPU profiles of the rows on toy nodes")
	detail   = flag.Bool("detail", false, "print the writes of each row")
)

// Part is one part of a benchmark: some rows of its table.
type Part struct {
	Name string
	Run  func(*Toy, *Rows)
}

// Bench measures all parts so often as is asked for, and prints the table.
func Bench(b *testing.B, o Options, parts ...Part) {
	b.Helper()
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	table := figure.Table{Against: 0, Servers: []string{"Berth"}, Series: make([]figure.Series, 1)}
	row := func(name, unit string) {
		table.Rows = append(table.Rows, figure.Row{Name: name, Unit: unit, Less: true})
	}
	for _, part := range parts {
		b.Run(part.Name, func(b *testing.B) {
			load, _ := os.ReadFile("/proc/loadavg")
			b.Logf("load before: %s", strings.TrimSpace(string(load)))
			for round := range *rounds {
				b.Run(fmt.Sprint(round), func(b *testing.B) {
					r := &Rows{b: b, sample: figure.Sample{}, row: row}
					if round > 0 {
						r.row = func(string, string) {}
					}
					part.Run(New(b, o), r)
					table.Series[0] = append(table.Series[0], r.sample)
				})
			}
		})
	}
	fmt.Fprintf(os.Stderr, "\n%s", table)
}

// Rows are what one round measures.
type Rows struct {
	b      *testing.B
	sample figure.Sample
	row    func(name, unit string)
}

// Put notes one figure.
func (r *Rows) Put(name, unit string, value float64) {
	r.row(name, unit)
	r.sample[name] = value
}

// Measure puts the time of do, its processor time and its writes a pod.
func (r *Rows) Measure(t *Toy, name string, pods int, do func()) []Write {
	t.B.Helper()
	from, before := t.Journal.Len(), cpuSeconds()
	t.mu.Lock()
	clear(t.asked)
	t.mu.Unlock()
	stop := profile(t.B, name)
	began := time.Now()
	do()
	took := time.Since(began)
	stop()
	used := cpuSeconds() - before
	writes := t.Journal.Since(from)
	lines, total := tally(writes)
	r.Put(name, "s", took.Seconds())
	r.Put(name+": processor", "ms a pod", 1000*used/float64(pods))
	r.Put(name+": writes", "a pod", float64(total)/float64(pods))
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
