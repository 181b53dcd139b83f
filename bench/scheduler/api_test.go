package scheduler

import (
	"context"
	"log/slog"
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
	"berth.dev/berth/internal/base/memory"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/controller/provisioner"
	"berth.dev/berth/internal/controller/volumebinder"
	"berth.dev/berth/internal/scheduler"
)

const (
	creators  = 8
	allWithin = 30 * time.Minute
)

// BenchmarkAPI makes pods through the real API server, with its datastore, and
// waits until each is bound: at which part of the rate at which they are made
// in the same run? A pod with a claim has it made, provisioned and bound too.
func BenchmarkAPI(b *testing.B) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	memory.Pace(b.Context())
	for _, s := range shapes {
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
	if err := provisioner.EnsureClass(b.Context(), env.Client); err != nil {
		b.Fatal(err)
	}
	loops := func() (stop func()) {
		ready := make(chan struct{})
		defer func() { <-ready }()
		return alltest.Run(b, func(ctx context.Context) error {
			all := host.New(host.Config{RESTConfig: env.As}, scheduler.Loop(nil), volumebinder.Loop(), provisioner.Loop())
			return all.Run(ctx, func() { close(ready) })
		})
	}
	stop := loops()
	empty := heap()
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
	ofNodes := heap() - empty
	stop()
	first := *created / 10
	alone := create(b, env.Client, 0, first, shape) // nobody schedules meanwhile
	loops()
	await(b, env.Client, first, func() {})
	before, used := heap(), processor()
	var beside time.Duration
	both := await(b, env.Client, first+*created, func() { beside = create(b, env.Client, first, *created, shape) })
	used = processor() - used
	n := float64(*created)
	b.ReportMetric(float64(first)/alone.Seconds(), "created-alone/s")
	b.ReportMetric(n/beside.Seconds(), "created/s")
	b.ReportMetric(n/both.Seconds(), "bound/s")
	b.ReportMetric(beside.Seconds()/both.Seconds(), "bound/created")
	b.ReportMetric(1000*used.Seconds()/n, "cpu-ms/pod")
	b.ReportMetric(float64(heap()-before)/n, "B/pod")
	b.ReportMetric(float64(ofNodes)/float64(*nodes), "B/node")
	b.ReportMetric(0, "ns/op")
	b.Log(load())
}

// create creates so many pods, numbered from first on, each after its claims,
// and says how long it took.
func create(b *testing.B, client kubernetes.Interface, first, n int, shape func(*corev1.Pod)) time.Duration {
	b.Helper()
	began := time.Now()
	each(b, n, func(i int) error {
		pod := newPod(first+i, shape)
		for _, c := range claimsOf(pod) {
			if _, err := client.CoreV1().PersistentVolumeClaims("default").Create(b.Context(), c.Claim, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		_, err := client.CoreV1().Pods("default").Create(b.Context(), pod, metav1.CreateOptions{})
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
