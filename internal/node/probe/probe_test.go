package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/node/probe"
	plan "berth.dev/berth/internal/plan/probe"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
)

// outcome collects what a Set reports.
type outcome struct {
	mu       sync.Mutex
	verdicts []plan.Verdict
	failures []string
	changed  chan struct{}
}

func (o *outcome) report() probe.Report {
	o.changed = make(chan struct{}, 100)
	return probe.Report{
		Verdict: func(_ plan.Kind, v plan.Verdict) {
			o.mu.Lock()
			o.verdicts = append(o.verdicts, v)
			o.mu.Unlock()
			o.changed <- struct{}{}
		},
		Unhealthy: func(kind plan.Kind, output string, err error) {
			o.mu.Lock()
			o.failures = append(o.failures, fmt.Sprint(kind, " ", output, err))
			o.mu.Unlock()
			o.changed <- struct{}{}
		},
	}
}

// try follows a readiness probe until it reports something.
func try(t *testing.T, handler corev1.ProbeHandler, ip string, exec probe.Exec) *outcome {
	t.Helper()
	o := &outcome{}
	c := &corev1.Container{Name: "app", ReadinessProbe: &corev1.Probe{ProbeHandler: handler, PeriodSeconds: 1}}
	set := probe.Start(t.Context(), probe.Target{
		Pod: &corev1.Pod{}, Container: c, ContainerID: "c1", IP: ip, Started: time.Now(),
	}, exec, clock.RealClock{}, plan.Verdicts{}, o.report())
	defer set.Stop()
	if set.Initial().Readiness != plan.Failure {
		t.Errorf("begins with %v", set.Initial())
	}
	select {
	case <-o.changed:
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return &outcome{verdicts: o.verdicts, failures: o.failures}
}

func wantReady(t *testing.T, o *outcome) {
	t.Helper()
	if len(o.verdicts) != 1 || o.verdicts[0] != plan.Success {
		t.Errorf("verdicts %v, failures %v", o.verdicts, o.failures)
	}
}

func wantFailure(t *testing.T, o *outcome, text string) {
	t.Helper()
	if len(o.failures) != 1 || !strings.Contains(o.failures[0], text) {
		t.Errorf("failures %q, want one with %q", o.failures, text)
	}
}

func split(t *testing.T, raw string) (string, int) {
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), port
}

func TestHTTP(t *testing.T) {
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/slow":
			<-r.Context().Done() // as long as somebody waits
		case r.URL.Path == "/bad":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Header.Get("X-Try") != "yes" || r.UserAgent() != probe.UserAgent || r.Host != "me":
			w.WriteHeader(http.StatusTeapot)
		default:
			if tries++; tries < 4 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}))
	defer server.Close()
	ip, port := split(t, server.URL)
	get := func(path string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt(port), HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Try", Value: "yes"}, {Name: "Host", Value: "me"}},
		}}
	}
	began := time.Now()
	wantReady(t, try(t, get("/"), ip, nil)) // three refusals cost nothing and tell nothing
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	wantFailure(t, try(t, get("/bad"), ip, nil), "HTTP probe failed with statuscode: 503")
	wantFailure(t, try(t, get("/slow"), ip, nil), "context deadline exceeded")
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(l.Addr().(*net.TCPAddr).Port)}}
	wantReady(t, try(t, handler, "127.0.0.1", nil))
	l.Close()
	wantFailure(t, try(t, handler, "127.0.0.1", nil), "connect: connection refused")
	handler.TCPSocket.Port = intstr.FromString("nope")
	wantFailure(t, try(t, handler, "127.0.0.1", nil), "couldn't find port: nope")
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, state)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	handler := corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(l.Addr().(*net.TCPAddr).Port)}}
	wantReady(t, try(t, handler, "127.0.0.1", nil))
	state.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	wantFailure(t, try(t, handler, "127.0.0.1", nil), `service unhealthy (responded with "NOT_SERVING")`)
}

func TestExec(t *testing.T) {
	handler := corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"check", "it"}}}
	answer := func(output string, code int32, err error) probe.Exec {
		return func(context.Context, string, []string, time.Duration) ([]byte, int32, error) {
			return []byte(output), code, err
		}
	}
	wantReady(t, try(t, handler, "", answer("", 0, nil)))
	wantFailure(t, try(t, handler, "", answer("broken", 1, nil)), "broken")
	wantFailure(t, try(t, handler, "", answer("", 0, probe.ErrTimeout)), `command timed out: "check it" timed out after 1s`)
	wantFailure(t, try(t, handler, "", answer("", 0, errors.New("no such container"))), "no such container")
}

func TestStartupHoldsTheOthersBack(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	exec := func(_ context.Context, _ string, command []string, _ time.Duration) ([]byte, int32, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, command[0])
		return nil, 0, nil
	}
	ask := func(what string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{what}}}, PeriodSeconds: 1}
	}
	o := &outcome{}
	c := &corev1.Container{Name: "app", StartupProbe: ask("startup"), ReadinessProbe: ask("readiness")}
	set := probe.Start(t.Context(), probe.Target{Pod: &corev1.Pod{}, Container: c, Started: time.Now()}, exec, clock.RealClock{}, plan.Verdicts{}, o.report())
	defer set.Stop()
	for range 2 {
		select {
		case <-o.changed:
		case <-time.After(time.Minute):
			t.Fatal("no verdict")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) < 2 || asked[0] != "startup" || asked[1] != "readiness" {
		t.Errorf("asked %v", asked)
	}
}
