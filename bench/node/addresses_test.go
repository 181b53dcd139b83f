package node

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/network/cni"
	"berth.dev/berth/test/e2e/cluster"
)

var again = flag.Int("again", 120, "how often a pod is made again, each way")

const (
	againAlone   = "a pod made again by itself"
	againAtOnce  = "ten made again at once"
	againOfStart = ": start stood still for its address"
)

// BenchmarkAddresses makes pods of a set again, one by one and ten at once, and
// says how long their starts stood still until they had their addresses back.
// The node's own histogram says so: a percentile is the end of its bucket.
func BenchmarkAddresses(b *testing.B) {
	c := cluster.New(b, "bench").Start()
	t := &bench{B: b, Cluster: c, watcher: watch(b, c.Client()), sample: figure.Sample{}}
	t.up(10, false, appsv1.ParallelPodManagement)
	had := t.addresses()

	before := t.waits()
	for i := range *again {
		t.replace(fmt.Sprintf("web-%d", i%10))
	}
	t.note(againAlone, before)

	before = t.waits()
	for range (*again + 9) / 10 {
		old := t.uids()
		t.await(10, func() error {
			return t.client.CoreV1().Pods(namespace).DeleteCollection(b.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
		}, made(old))
		t.settle()
	}
	t.note(againAtOnce, before)

	if now := t.addresses(); !slices.Equal(had, now) {
		b.Errorf("the addresses were %v and are %v", had, now)
	}
	var list []figure.Row
	for _, row := range []string{againAlone, againAtOnce} {
		list = append(list, figure.Row{Name: row + againOfStart + ", p50", Unit: "ms", Less: true}, figure.Row{Name: row + againOfStart + ", p99", Unit: "ms", Less: true},
			figure.Row{Name: row + againOfStart + ", mean", Unit: "ms", Less: true}, figure.Row{Name: row + ": starts", Unit: ""})
	}
	fmt.Printf("%sload %s\n", figure.Table{Rows: list, Servers: []string{"berth"}, Series: []figure.Series{{t.sample}}}, figure.Load())
	b.ReportMetric(0, "ns/op")
}

// made is a pod that was not there before, and is Ready.
func made(before []string) func(seen) bool {
	return func(p seen) bool { return !slices.Contains(before, string(p.UID)) && ready(p) }
}

func (t *bench) uids() (out []string) {
	list, err := t.client.CoreV1().Pods(namespace).List(t.B.Context(), metav1.ListOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
	for i := range list.Items {
		out = append(out, string(list.Items[i].UID))
	}
	return out
}

func (t *bench) addresses() (out []string) {
	list, err := t.client.CoreV1().Pods(namespace).List(t.B.Context(), metav1.ListOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
	for i := range list.Items {
		out = append(out, list.Items[i].Name+" "+list.Items[i].Status.PodIP)
	}
	slices.Sort(out)
	return out
}

// waits is the node's histogram: how many starts, how long all of them together,
// and how many up to each bound.
type waits struct {
	count, sum float64
	upTo       map[float64]float64
}

func (t *bench) waits() waits {
	page, err := t.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + t.Host.Name + "/proxy/metrics").DoRaw(t.B.Context())
	if err != nil {
		t.B.Fatal(err)
	}
	w := waits{upTo: map[float64]float64{}}
	for line := range strings.Lines(string(page)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, cni.WaitMetric)
		n, err := strconv.ParseFloat(text, 64)
		if !ours || err != nil {
			continue
		}
		switch le, bucket := strings.CutPrefix(rest, `_bucket{le="`); {
		case bucket:
			bound, err := strconv.ParseFloat(strings.TrimSuffix(le, `"}`), 64)
			if err != nil {
				t.B.Fatal(err)
			}
			w.upTo[bound] = n
		case rest == "_count":
			w.count = n
		case rest == "_sum":
			w.sum = n
		}
	}
	if len(w.upTo) == 0 {
		t.B.Fatalf("no %s among the node's metrics", cni.WaitMetric)
	}
	return w
}

// note says what came since before.
func (t *bench) note(row string, before waits) {
	now := t.waits()
	n := now.count - before.count
	t.sample[row+": starts"] = n
	t.sample[row+againOfStart+", mean"] = 1000 * (now.sum - before.sum) / n
	for _, p := range []float64{50, 99} {
		bound := math.Inf(1)
		for le, upTo := range now.upTo {
			if upTo-before.upTo[le] >= n*p/100 {
				bound = min(bound, le)
			}
		}
		t.sample[fmt.Sprintf("%s%s, p%v", row, againOfStart, p)] = 1000 * bound
	}
}
