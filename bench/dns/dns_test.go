// Package dns measures the cluster's DNS: how soon a Ready pod has its name, and
// how many queries one core answers. Run it by hand, as root:
// go test -run '^$' -bench . -benchtime 1x ./bench/dns
package dns

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/network/dns"
	"berth.dev/berth/internal/network/nettest"
)

var pods = flag.Int("pods", 300, "how many pods become Ready")

func TestMain(m *testing.M) {
	if os.Getenv(asked) != "" {
		ask()
		return
	}
	nettest.Main(m)
}

// BenchmarkReady is from the write of a pod's Ready condition to the answer with
// its address, through the API server, its datastore and the endpointslice loop:
// one pod after the other, and all at once. It asks every 4 ms.
func BenchmarkReady(b *testing.B) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	for _, policy := range []appsv1.PodManagementPolicyType{appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement} {
		b.Run(string(policy), func(b *testing.B) {
			for b.Loop() {
				untilResolved(b, policy)
			}
		})
	}
}

func untilResolved(b *testing.B, policy appsv1.PodManagementPolicyType) {
	b.Helper()
	c := alltest.Start(b, alltest.Options{})
	server := serve(b, c.Client, 1)
	w := &waiting{since: map[netip.Addr]pod{}}
	over := make(chan error, 1)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { over <- w.ask(ctx, server) }()
	c.Machines(b, 4, func(p *corev1.Pod) { w.add(p.Status.PodIP, p.Name) })
	labels := map[string]string{"app": "web"}
	_, err := c.Client.CoreV1().Services("default").Create(b.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}, metav1.CreateOptions{})
	check(b, err)
	_, err = c.Client.AppsV1().StatefulSets("default").Create(b.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: "web", Replicas: ptr.To(int32(*pods)), PodManagementPolicy: policy, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c:1"}}}},
		},
	}, metav1.CreateOptions{})
	check(b, err)
	check(b, <-over)
	took := w.took
	b.ReportMetric(figure.Percentile(took, 50), "resolved-p50-ms")
	b.ReportMetric(figure.Percentile(took, 99), "resolved-p99-ms")
	b.ReportMetric(figure.Percentile(took, 100), "resolved-max-ms")
	b.ReportMetric(0, "ns/op")
}

const service = "web.default.svc.cluster.local."

// pod has become Ready.
type pod struct {
	name string
	at   time.Time
}

// waiting are the pods that are Ready and were not found yet. One asks for all of
// them: an asker for each would need more of the processor than the DNS.
type waiting struct {
	mu    sync.Mutex
	since map[netip.Addr]pod
	took  []time.Duration
}

func (w *waiting) add(ip, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since[netip.MustParseAddr(ip)] = pod{name, time.Now()}
}

// ask asks for all pods of the Service until every one was found, also by its
// own name.
func (w *waiting) ask(ctx context.Context, server string) error {
	l := &line{server: server, client: mdns.Client{Timeout: time.Minute, Net: "tcp"}}
	defer l.hangUp()
	again := time.NewTicker(4 * time.Millisecond)
	defer again.Stop()
	for len(w.took) < *pods {
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.mu.Lock()
		idle := len(w.since) == 0
		w.mu.Unlock()
		if idle {
			continue
		}
		reply, err := l.ask(ctx, service)
		if err != nil {
			return err
		}
		for _, p := range w.known(reply.Answer) {
			reply, err := l.ask(ctx, p.name+"."+service)
			if err != nil {
				return err
			}
			if len(reply.Answer) != 1 {
				return fmt.Errorf("%s is one of the pods of %s and has no name: %s", p.name, service, reply)
			}
			w.took = append(w.took, time.Since(p.at))
		}
	}
	return nil
}

// line is a connection to the DNS, which hangs up when nobody has asked for some
// seconds: on a busy machine that long passes between two pods.
type line struct {
	server string
	client mdns.Client
	conn   *mdns.Conn
}

func (l *line) ask(ctx context.Context, name string) (*mdns.Msg, error) {
	for {
		fresh := l.conn == nil
		if fresh {
			conn, err := l.client.DialContext(ctx, l.server)
			if err != nil {
				return nil, err
			}
			l.conn = conn
		}
		reply, _, err := l.client.ExchangeWithConnContext(ctx, new(mdns.Msg).SetQuestion(name, mdns.TypeA), l.conn)
		if err == nil || fresh {
			return reply, err
		}
		l.hangUp()
	}
}

func (l *line) hangUp() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// known are the pods that are in the answer; they are waited for no more.
func (w *waiting) known(answer []mdns.RR) (found []pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rr := range answer {
		a, ok := rr.(*mdns.A)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(a.A)
		if p, waits := w.since[ip.Unmap()]; waits {
			found = append(found, p)
			delete(w.since, ip.Unmap())
		}
	}
	return found
}

// serve is a node's DNS as Berth runs it, with the default Corefile.
func serve(b *testing.B, client kubernetes.Interface, host byte) string {
	b.Helper()
	if !nettest.Inside() {
		b.Skip("needs root: a network namespace of its own")
	}
	lo, err := netlink.LinkByName("lo")
	check(b, err)
	check(b, netlink.LinkSetUp(lo))
	f := informers.NewSharedInformerFactory(client, 0)
	addr := netip.AddrFrom4([4]byte{127, 0, 0, host})
	s, err := dns.New(dns.Config{
		Informers: f, Corefile: f.Core().V1().ConfigMaps().Informer(), Events: record.NewFakeRecorder(1), Addresses: []netip.Addr{addr},
		Domain: "cluster.local", Log: slog.New(slog.DiscardHandler),
	})
	check(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	f.StartWithContext(ctx)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	b.Cleanup(func() {
		cancel()
		check(b, <-ended)
		f.Shutdown()
	})
	select {
	case <-ready:
	case err := <-ended:
		b.Fatal(fmt.Errorf("not ready: %w", err))
	}
	return netip.AddrPortFrom(addr, 53).String()
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
