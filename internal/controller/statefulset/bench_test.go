package statefulset_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"berth.dev/berth/internal/controller/statefulset"
)

// BenchmarkReady measures create to all Ready with pods that are ready at once,
// and for an ordered set the time from "pod k is Ready" to "pod k+1 exists".
func BenchmarkReady(b *testing.B) {
	for _, c := range []struct {
		name     string
		policy   appsv1.PodManagementPolicyType
		replicas int32
	}{
		{"Ordered100", appsv1.OrderedReadyPodManagement, 100},
		{"Parallel500", appsv1.ParallelPodManagement, 500},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				run(b, c.policy, c.replicas)
			}
		})
	}
}

func run(b *testing.B, policy appsv1.PodManagementPolicyType, replicas int32) {
	b.StopTimer()
	env := start(b, statefulset.Loop(), toyNode())
	watcher, err := env.Client.CoreV1().Pods("default").Watch(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var steps []time.Duration
	var lastReady time.Time
	ready := map[string]bool{}
	all := make(chan struct{})
	go func() {
		for ev := range watcher.ResultChan() {
			pod, ok := ev.Object.(*corev1.Pod)
			if !ok {
				continue
			}
			mu.Lock()
			if ev.Type == watch.Added && !lastReady.IsZero() {
				steps = append(steps, time.Since(lastReady))
			}
			if pod.Status.Phase == corev1.PodRunning && !ready[pod.Name] {
				ready[pod.Name] = true
				lastReady = time.Now()
				if len(ready) == int(replicas) {
					close(all)
				}
			}
			mu.Unlock()
		}
	}()
	set := newSet("web", replicas)
	set.Spec.PodManagementPolicy = policy
	b.StartTimer()
	if _, err := env.Client.AppsV1().StatefulSets("default").Create(b.Context(), set, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	select {
	case <-all:
	case <-time.After(60 * time.Second):
		b.Fatal("not ready in a minute")
	}
	b.StopTimer()
	watcher.Stop()
	mu.Lock()
	defer mu.Unlock()
	if policy == appsv1.OrderedReadyPodManagement {
		slices.Sort(steps)
		b.ReportMetric(float64(steps[len(steps)/2].Microseconds())/1000, "p50-ms/step")
		b.ReportMetric(float64(steps[len(steps)*99/100].Microseconds())/1000, "p99-ms/step")
	}
	begun := time.Now()
	await(b, "every event", func() bool {
		events, err := env.Client.CoreV1().Events("default").List(b.Context(), metav1.ListOptions{ResourceVersion: "0"})
		return err == nil && len(events.Items) >= int(replicas)
	})
	b.Logf("events complete after %s", time.Since(begun))
}
