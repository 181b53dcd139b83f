package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// longestGap is what a restart may cost on any machine however busy; the promise is 1 s.
const longestGap = 20 * time.Second

// berth is replaced by another build (BERTH_PREVIOUS, else by itself) and back
// while pods run. Pods ask DNS and a Service all the time and are probed every
// second.
func TestGapOfARestart(t *testing.T) {
	current := cluster.Bin(t)
	previous := os.Getenv("BERTH_PREVIOUS")
	if previous == "" {
		previous = current
	}
	h := host.New(t, "gap")
	c := cluster.On(t, h, previous).Start()
	probed := listenForProbes(t, h)
	c.Kubectl("apply", "-f", repo(t)+"/examples/demo/web.yaml")
	c.Apply(fmt.Sprintf(probedPod, h.Addr))
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	c.Kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=150s")
	w := watch(t, c)
	vip := c.Kubectl("get", "service", "visit", "-o", "jsonpath={.spec.clusterIP}")
	from := w.networkOf(t, "web-0")

	dns := sample(t, func(ctx context.Context) error { return resolve(ctx, h, from, "web-2.web.default.svc.cluster.local.") })
	service := sample(t, func(ctx context.Context) error { return connect(ctx, h, from, net.JoinHostPort(vip, "8080")) })
	for i, step := range []struct{ bin, signal string }{{current, "TERM"}, {previous, "TERM"}, {current, "KILL"}} {
		before := c.Containers()
		slices := c.Kubectl("get", "endpointslices,pods", "-n", "default", "-o", "yaml", "--show-managed-fields")
		time.Sleep(1500 * time.Millisecond) // some probes and answers before
		dns.reset()
		service.reset()
		probed.reset()
		stopping := time.Now()
		if step.signal == "TERM" {
			if took := c.Signal("TERM"); took > 30*time.Second {
				t.Errorf("SIGTERM took %s", took)
			}
		} else {
			c.Kill()
		}
		c.Use(step.bin)
		began := time.Now()
		c.Launch()
		c.Eventually(60*time.Second, "all answered", func() string {
			if dns.since(began) && service.since(began) && probed.since(began) {
				return "all answered"
			}
			return "waiting"
		})
		for name, s := range map[string]*samples{"DNS": dns, "ClusterIP": service, "probes": probed} {
			gap, first := s.gap(), s.first(began)
			t.Logf("%d %s: %s: longest gap %s, first answer %s after the start (stopping took %s)", i, step.signal, name,
				gap.Round(time.Millisecond), first.Round(time.Millisecond), began.Sub(stopping).Round(time.Millisecond))
			if first > longestGap {
				t.Errorf("%s was back only %s after the start", name, first)
			}
		}
		c.Await()
		if after := c.Containers(); after != before {
			t.Errorf("containers changed:\n%s\nnow:\n%s", before, after)
		}
		// Nothing was ever told to be not ready.
		if now := c.Kubectl("get", "endpointslices,pods", "-n", "default", "-o", "yaml", "--show-managed-fields"); now != slices {
			t.Errorf("pods or endpoints were written:\n%s", cmp.Diff(strings.Split(slices, "\n"), strings.Split(now, "\n")))
		}
	}
	w.verdict(t)
}

// probedPod is probed at an address where the test listens, and there is a
// Service with an address of its own.
const probedPod = `apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: demo
      image: berth.dev/demo:1
      args: [-data, /tmp]
      readinessProbe:
        httpGet: {host: %s, port: 18080, path: /}
        periodSeconds: 1
---
apiVersion: v1
kind: Service
metadata: {name: visit}
spec:
  selector: {app: web}
  ports: [{port: 8080}]
`

// samples are the moments when something worked.
type samples struct {
	mu   sync.Mutex
	good []time.Time
}

func (s *samples) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good = append(s.good, time.Now())
}

// reset forgets all but the last moment.
func (s *samples) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.good); n > 1 {
		s.good = s.good[n-1:]
	}
}

func (s *samples) since(t time.Time) bool { return s.first(t) >= 0 }

// first is how long after t something worked, or -1.
func (s *samples) first(t time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.good {
		if g.After(t) {
			return g.Sub(t)
		}
	}
	return -1
}

// gap is the longest time without success.
func (s *samples) gap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest time.Duration
	for i := 1; i < len(s.good); i++ {
		longest = max(longest, s.good[i].Sub(s.good[i-1]))
	}
	return longest
}

// sample tries every 10 ms until the test ends.
func sample(t *testing.T, try func(context.Context) error) *samples {
	s := &samples{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for every := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-every.C {
			once, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			if try(once) == nil {
				s.add()
			}
			cancel()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

func resolve(ctx context.Context, h *host.Host, from, name string) error {
	conn, err := h.DialFrom(ctx, from, "udp", "10.43.0.10:53")
	if err != nil {
		return err
	}
	defer conn.Close()
	m := new(mdns.Msg)
	m.SetQuestion(name, mdns.TypeA)
	reply, _, err := (&mdns.Client{Timeout: 200 * time.Millisecond}).ExchangeWithConnContext(ctx, m, &mdns.Conn{Conn: conn})
	if err == nil && len(reply.Answer) == 0 {
		err = fmt.Errorf("no answer: %s", mdns.RcodeToString[reply.Rcode])
	}
	return err
}

func connect(ctx context.Context, h *host.Host, from, addr string) error {
	conn, err := h.DialFrom(ctx, from, "tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// listenForProbes answers the probes of probedPod and notes when they came.
func listenForProbes(t *testing.T, h *host.Host) *samples {
	t.Helper()
	l, err := h.Listen("tcp", net.JoinHostPort(h.Addr, "18080"))
	if err != nil {
		t.Fatal(err)
	}
	s := &samples{}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.add() })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return s
}

// networkOf is the path of a pod's network namespace on the host.
func (w *witness) networkOf(t *testing.T, name string) string {
	t.Helper()
	list, err := w.runtime.ListPodSandbox(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range list.Items {
		if item.Metadata.Name != name {
			continue
		}
		st, err := w.runtime.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: item.Id, Verbose: true})
		if err != nil {
			t.Fatal(err)
		}
		var about struct {
			RuntimeSpec struct {
				Linux struct {
					Namespaces []struct{ Type, Path string }
				}
			}
		}
		if err := json.Unmarshal([]byte(st.Info["info"]), &about); err != nil {
			t.Fatal(err)
		}
		for _, ns := range about.RuntimeSpec.Linux.Namespaces {
			if ns.Type == "network" {
				return filepath.Clean(ns.Path)
			}
		}
	}
	t.Fatalf("no network of %s", name)
	return ""
}
