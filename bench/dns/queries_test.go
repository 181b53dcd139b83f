package dns

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

var (
	span = flag.Duration("span", 5*time.Second, "how long queries are sent")
	keep = flag.Duration("keep", 0, "how long the DNS stays for a load tool, with its address printed")
)

const (
	asked    = "BERTH_BENCH_DNS" // the server that this process is to ask
	services = 1000
	members  = 10 // pods of each headless Service
	asking   = 16 // sockets
	ahead    = 8  // queries on their way on each
)

// BenchmarkQueries is how many queries the DNS answers with one core to run on,
// and by the processor's time it takes, while another process asks for cluster
// IPs, members of headless Services, all of them, and what does not exist.
func BenchmarkQueries(b *testing.B) {
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	for i := range services {
		for _, obj := range pair(i) {
			check(b, client.Tracker().Add(obj))
		}
	}
	server := serve(b, client, 2)
	if *keep > 0 {
		fmt.Fprintf(os.Stderr, "process %d serves %s for %s\n", os.Getpid(), server, *keep)
		time.Sleep(*keep)
	}
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				before := processor()
				cmd := exec.CommandContext(b.Context(), "/proc/self/exe")
				cmd.Env = append(os.Environ(), asked+"="+server+" "+kind+" "+span.String())
				cmd.Stderr = os.Stderr
				text, err := cmd.Output()
				check(b, err)
				var got result
				check(b, json.Unmarshal(text, &got))
				spent := processor() - before
				b.ReportMetric(float64(got.Answers)/span.Seconds(), "queries/s")
				b.ReportMetric(float64(got.Answers)/spent.Seconds(), "queries/cpu-s")
				b.ReportMetric(float64(got.Lost), "lost")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// kinds of questions.
var kinds = []string{"service", "pod", "headless", "absent"}

func name(kind string, i int) string {
	n := i % services
	switch kind {
	case "service":
		return fmt.Sprintf("plain-%d.default.svc.cluster.local.", n)
	case "pod":
		return fmt.Sprintf("web-%d.set-%d.default.svc.cluster.local.", i%members, n)
	case "headless":
		return fmt.Sprintf("set-%d.default.svc.cluster.local.", n)
	default:
		return fmt.Sprintf("nobody-%d.default.svc.cluster.local.", n)
	}
}

// pair is an ordinary Service, and a headless one with its slice.
func pair(i int) []kruntime.Object {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s-%d", name, i)}
	}
	ip := fmt.Sprintf("10.43.%d.%d", 1+i/250, 1+i%250)
	ports := []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: meta("set"), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](80), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: slice.Name}
	for m := range members {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.42.%d.%d", i/25, 1+i%25*members+m)}, Hostname: ptr.To(fmt.Sprintf("web-%d", m)),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	return []kruntime.Object{
		&corev1.Service{ObjectMeta: meta("plain"), Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Ports: ports}},
		&corev1.Service{ObjectMeta: meta("set"), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, ClusterIPs: []string{corev1.ClusterIPNone}, Ports: ports}},
		slice,
	}
}

// result is what the asking process prints.
type result struct{ Answers, Lost int64 }

// ask is the other process: it keeps queries on their way until the time is over.
func ask() {
	var (
		server, kind string
		span         time.Duration
		text         string
	)
	if _, err := fmt.Sscan(os.Getenv(asked), &server, &kind, &text); err != nil {
		panic(err)
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	var (
		all           sync.WaitGroup
		answers, lost atomic.Int64
		end           = time.Now().Add(span)
	)
	for n := range asking {
		all.Go(func() {
			conn, err := net.Dial("udp", server)
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			reply, sent := make([]byte, 64<<10), n*1009
			send := func() {
				packed, err := new(mdns.Msg).SetQuestion(name(kind, sent), mdns.TypeA).Pack()
				if err == nil {
					_, err = conn.Write(packed)
				}
				if err != nil {
					panic(err)
				}
				sent++
			}
			for range ahead {
				send()
			}
			for time.Now().Before(end) {
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := conn.Read(reply); err != nil {
					lost.Add(ahead)
					for range ahead {
						send()
					}
					continue
				}
				answers.Add(1)
				send()
			}
		})
	}
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(result{answers.Load(), lost.Load()}); err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error())
	}
}

// processor is the time that this process has had.
func processor() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
