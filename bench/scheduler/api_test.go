package scheduler

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/scheduler"
)

const (
	creators  = 8
	allWithin = 5 * time.Minute
)

func loadavg() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// BenchmarkAPI makes pods through the real API server, with its datastore, and
// waits until each is bound: at which part of the rate at which they are made
// in the same run?
func BenchmarkAPI(b *testing.B) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	for _, s := range shapes[:3] {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				through(b, s.shape)
			}
		})
	}
}

func through(b *testing.B, shape func(*corev1.Pod)) {
	b.Helper()
	env := apitest.Start(b)
	each(b, *nodes, func(i int) error {
		node := newNode(i)
		got, err := env.Client.CoreV1().Nodes().Create(b.Context(), node, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		got.Status = node.Status
		_, err = env.Client.CoreV1().Nodes().UpdateStatus(b.Context(), got, metav1.UpdateOptions{})
		return err
	})
	alone := create(b, env.Client, 0, shape) // nobody schedules yet
	ready := make(chan struct{})
	alltest.Run(b, func(ctx context.Context) error {
		return host.New(host.Config{RESTConfig: env.As}, scheduler.Loop(nil)).Run(ctx, func() { close(ready) })
	})
	<-ready
	await(b, env.Client, *created, func() {})
	used := processor()
	var beside time.Duration
	both := await(b, env.Client, 2**created, func() { beside = create(b, env.Client, *created, shape) })
	used = processor() - used
	n := float64(*created)
	b.ReportMetric(n/alone.Seconds(), "created/s")
	b.ReportMetric(n/both.Seconds(), "created-and-bound/s")
	b.ReportMetric(n/beside.Seconds(), "created-beside/s")
	b.ReportMetric(100*beside.Seconds()/both.Seconds(), "%")
	b.ReportMetric(1000*used.Seconds()/n, "cpu-ms/pod")
	b.ReportMetric(0, "ns/op")
	b.Log(load())
}

// create creates as many pods, numbered from first on, and says how long it took.
func create(b *testing.B, client kubernetes.Interface, first int, shape func(*corev1.Pod)) time.Duration {
	b.Helper()
	began := time.Now()
	each(b, *created, func(i int) error {
		_, err := client.CoreV1().Pods("default").Create(b.Context(), newPod(first+i, shape), metav1.CreateOptions{})
		return err
	})
	return time.Since(began)
}

func each(b *testing.B, n int, do func(int) error) {
	b.Helper()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range creators {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// await does something and waits until so many pods are bound.
func await(b *testing.B, client kubernetes.Interface, want int, do func()) time.Duration {
	b.Helper()
	w, err := client.CoreV1().Pods("default").Watch(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	began := time.Now()
	go do()
	timeout := time.After(allWithin)
	bound := map[string]bool{}
	for len(bound) < want {
		select {
		case event := <-w.ResultChan():
			if p, ok := event.Object.(*corev1.Pod); ok && event.Type != watch.Deleted && p.Spec.NodeName != "" {
				bound[p.Name] = true
			}
		case <-timeout:
			b.Fatalf("%d of %d pods are bound", len(bound), want)
		}
	}
	return time.Since(began)
}
