// Package proxy measures the service proxy in a network namespace of its own:
// how fast rules are in the kernel, and what they cost packets. Run it by hand,
// as root: go test -run '^$' -bench . -benchtime 1x ./bench/proxy
package proxy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/network/nettest"
	"berth.dev/berth/internal/network/proxy"
)

var changes = flag.Int("changes", 1000, "how many EndpointSlices change, one after the other")

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	nettest.Main(m)
}

// BenchmarkRules loads Services with three endpoints each, and changes the
// endpoints of one after the other: from the event of the watch to the kernel's
// word that rules have changed. The events come past the fake API, whose writes
// take longer than all that is measured here, and leave a megabyte of garbage each.
func BenchmarkRules(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint("services=", n), func(b *testing.B) {
			for b.Loop() {
				rules(b, n)
			}
		})
	}
}

func rules(b *testing.B, n int) {
	b.Helper()
	client := services(b, n, "10.42.0.7")
	slices := watch.NewRaceFreeFake()
	client.PrependWatchReactor("endpointslices", func(clienttesting.Action) (bool, watch.Interface, error) { return true, slices, nil })
	before := heap()
	f := informers.NewSharedInformerFactory(client, 0)
	p := made(b, f)
	watching, over := context.WithCancel(b.Context())
	defer over()
	f.StartWithContext(watching)
	f.WaitForCacheSync(watching.Done())
	synced := heap()
	cpu, began := processor(), time.Now()
	stop := run(b, p)
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "load-ms")
	b.ReportMetric(float64((processor() - cpu).Milliseconds()), "load-cpu-ms")
	after := heap()
	b.ReportMetric(float64(int64(after)-int64(synced))/1e6, "heap-MB")
	b.ReportMetric(float64(int64(after)-int64(before))/1e6, "with-caches-MB")

	monitor := nftables.NewMonitor(nftables.WithMonitorObject(nftables.MonitorObjectAny), nftables.WithMonitorAction(nftables.MonitorActionAny))
	conn, err := nftables.New()
	check(b, err)
	events, err := conn.AddGenerationalMonitor(monitor)
	check(b, err)
	took := make([]time.Duration, 0, *changes)
	for i := range *changes {
		slice := slice(i*37%n, "10.42.1.7")
		slice.Endpoints[0].Addresses[0] = fmt.Sprintf("10.42.9.%d", 1+i%250)
		slice.ResourceVersion = fmt.Sprint(1_000_000 + i)
		began := time.Now()
		slices.Modify(slice)
		select {
		case <-events:
			took = append(took, time.Since(began))
		case <-time.After(time.Minute):
			b.Fatal("the kernel's rules do not change")
		}
		drain(events)
	}
	check(b, monitor.Close())
	b.ReportMetric(figure.Percentile(took, 50), "change-p50-ms")
	b.ReportMetric(figure.Percentile(took, 99), "change-p99-ms")
	b.ReportMetric(figure.Percentile(took, 100), "change-max-ms")
	b.ReportMetric(0, "ns/op")
	b.Log("load ", figure.Load())
	stop()
	over()
	f.Shutdown()
	check(b, proxy.Remove())
}

// drain takes what else belongs to the same change.
func drain(events <-chan *nftables.MonitorEvents) {
	for {
		select {
		case <-events:
		case <-time.After(5 * time.Millisecond):
			return
		}
	}
}

func made(b *testing.B, f informers.SharedInformerFactory) *proxy.Proxy {
	b.Helper()
	if !nettest.Inside() {
		b.Skip("needs root: a network namespace of its own")
	}
	p, err := proxy.New(proxy.Config{
		Informers: f, Log: slog.New(slog.DiscardHandler), NodeName: "here",
		Ranges: proxy.Ranges{Cluster: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}, Services: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}},
	})
	check(b, err)
	return p
}

// run starts the proxy and waits until its rules are in force.
func run(b *testing.B, p *proxy.Proxy) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- p.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		b.Fatal(errors.Join(errors.New("not ready"), err))
	}
	return func() { cancel(); check(b, <-ended) }
}

// services are n of them with three endpoints; the first of each is at.
func services(b *testing.B, n int, at string) *fake.Clientset {
	b.Helper()
	client := fake.NewClientset()
	for i := range n {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("web-", i)}}
		svc.Spec = corev1.ServiceSpec{ClusterIP: clusterIP(i), ClusterIPs: []string{clusterIP(i)}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}}
		check(b, client.Tracker().Add(svc))
		check(b, client.Tracker().Add(slice(i, at)))
	}
	return client
}

func clusterIP(i int) string { return fmt.Sprintf("10.43.%d.%d", 1+i/250, 1+i%250) }

func slice(i int, at string) *discoveryv1.EndpointSlice {
	name := fmt.Sprint("web-", i)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for _, ip := range []string{at, fmt.Sprintf("10.42.%d.%d", 10+i/250, 1+i%250), fmt.Sprintf("10.42.%d.%d", 60+i/250, 1+i%250)} {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
	}
	return s
}

func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func processor() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
