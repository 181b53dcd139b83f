// Package statefulset measures what StatefulSets cost Berth itself, on toy
// nodes; bench/node has them on real containers. Run it by hand:
// go test -bench . -benchtime 1x ./bench/statefulset
package statefulset

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/bench/statefulset/toy"
)

// BenchmarkToy is how much Berth itself costs: toy nodes make pods Ready at
// once, all else is real.
func BenchmarkToy(b *testing.B) {
	toy.Bench(b, toy.Options{Loop: "statefulset", ClusterIP: corev1.ClusterIPNone},
		toy.Part{Name: "Parallel", Run: parallel}, toy.Part{Name: "Ordered", Run: ordered},
		toy.Part{Name: "Many", Run: many}, toy.Part{Name: "Resync", Run: resync})
}

func parallel(t *toy.Toy, r *toy.Rows) {
	const pods = 1000
	before := toy.HeapMB()
	from := t.Journal.Len()
	r.Measure(t, "Parallel 1,000", pods, func() {
		create(t, "web", pods, appsv1.ParallelPodManagement)
		await(t, "are ready", 1, allReady)
	})
	t.Events(map[string]int{"SuccessfulCreate": pods, "Scheduled": pods})
	r.Put("slowest event of Parallel 1,000", "s", slices.Max(toy.EventDelays(t.Journal.Since(from))).Seconds())
	r.Put("heap", "KB a pod", 1024*(toy.HeapMB()-before)/pods)
	r.Put("writes to a pod and its address before it is Ready", "a pod", float64(t.Journal.Versions("pods", "spiderendpoints"))/pods)
	r.Measure(t, "delete 1,000", pods, func() { deleteAll(t) })
}

func ordered(t *toy.Toy, r *toy.Rows) {
	const pods = 200
	writes := r.Measure(t, "OrderedReady 200", pods, func() {
		create(t, "web", pods, appsv1.OrderedReadyPodManagement)
		await(t, "are ready", 1, allReady)
	})
	taken := t.Steps(writes, "web", pods)
	if len(taken) != pods-1 {
		t.B.Errorf("%d steps", len(taken))
	}
	r.Put("step from Ready to the next pod, p50", "ms", figure.Percentile(taken, 50))
	r.Put("step, p99", "ms", figure.Percentile(taken, 99))
	r.Put("step, longest", "ms", figure.Percentile(taken, 100))
	t.Events(map[string]int{"SuccessfulCreate": pods, "Scheduled": pods})
	r.Measure(t, "rolling update of 200", pods, func() {
		restart(t, "web")
		await(t, "are rolled", 1, rolled)
	})
	t.Events(map[string]int{"SuccessfulCreate": 2 * pods, "SuccessfulDelete": pods, "Scheduled": 2 * pods})
	r.Measure(t, "delete 200", pods, func() { deleteAll(t) })
}

func many(t *toy.Toy, r *toy.Rows) {
	const sets, each = 100, 10
	r.Measure(t, "100 sets of 10", sets*each, func() {
		for i := range sets {
			create(t, fmt.Sprintf("web%d", i), each, appsv1.ParallelPodManagement)
		}
		await(t, "are ready", sets, allReady)
	})
	t.Events(map[string]int{"SuccessfulCreate": sets * each, "Scheduled": sets * each})
	r.Measure(t, "delete 100 sets of 10", sets*each, func() { deleteAll(t) })
}

// resync restarts all loops, so that each set is looked at again.
func resync(t *toy.Toy, r *toy.Rows) {
	const sets = 1000
	for i := range sets {
		create(t, fmt.Sprintf("web%d", i), 1, appsv1.OrderedReadyPodManagement)
	}
	await(t, "are ready", sets, allReady)
	t.Events(map[string]int{"SuccessfulCreate": sets, "Scheduled": sets})
	t.Until("the service's Endpoints, which are written last", func() bool { return endpoints(t) == sets })
	t.Forget()
	began, before := time.Now(), t.Journal.Revision()
	writes := r.Measure(t, "re-sync of 1,000 sets", sets, func() {
		t.RestartLoops(t.B)
		t.Until("all sets to be looked at", func() bool { return t.Reconciled() == sets })
	})
	t.B.Logf("restarted and looked at all in %s", time.Since(began))
	time.Sleep(2 * time.Second) // whoever would write has had the time to
	r.Put("re-sync: writes in all", "", float64(t.Journal.Revision()-before))
	if len(writes) > 0 {
		t.B.Logf("the first write of the re-sync: %+v", writes[0])
	}
}
