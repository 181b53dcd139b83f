package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"berth.dev/berth/test/e2e/cluster"
)

// All four ways to ask a container, and what comes of the answers. The servers
// are the test's own: the pod is on the host's network, and so are they.
func probesAndHooks(t *testing.T, c *cluster.Cluster) {
	listen := func() (net.Listener, string) {
		l, err := c.Host.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return l, port
	}
	var healthy atomic.Bool
	var hooks atomic.Int32
	webListener, webPort := listen()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/hook":
			hooks.Add(1)
			w.WriteHeader(http.StatusNotFound) // any answer will do
		case r.URL.String() != "/ok?x=1" || r.Host != "probe.test" || r.Header.Get("X-Probe") != "yes" || r.UserAgent() != "kube-probe/1.37":
			w.WriteHeader(http.StatusBadRequest)
		case !healthy.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	web.Listener = webListener
	web.StartTLS()
	t.Cleanup(web.Close)
	grpcListener, grpcPort := listen()
	vital := health.NewServer()
	vital.SetServingStatus("svc", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, vital)
	go func() { _ = server.Serve(grpcListener) }()
	t.Cleanup(server.Stop)
	_, tcpPort := listen() // the kernel accepts by itself

	container := func(name, script, more string) string {
		return "    - {name: " + name + ", image: " + nginxName + ", command: [sh, -c, " + quote(script) + "]" + more + "}\n"
	}
	const often = ", periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 1}"
	c.Apply("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 40\n  containers:\n" +
		container("web", forever, ", readinessProbe: {httpGet: {scheme: HTTPS, path: '/ok?x=1', port: "+webPort+", httpHeaders: [{name: X-Probe, value: 'yes'}, {name: Host, value: probe.test}]}"+often+
			", lifecycle: {postStart: {httpGet: {scheme: HTTPS, path: /hook, port: "+webPort+"}}, preStop: {sleep: {seconds: 1}}}") +
		container("grpc", forever, ", readinessProbe: {grpc: {port: "+grpcPort+", service: svc}"+often) +
		container("tcp", forever, ", readinessProbe: {tcpSocket: {port: "+tcpPort+"}"+often) +
		container("stubborn", "trap '' TERM; touch /tmp/up; while :; do sleep 0.1; done",
			", startupProbe: {exec: {command: [test, -e, /tmp/started]}, periodSeconds: 1, failureThreshold: 600}, livenessProbe: {exec: {command: [test, '!', -e, /tmp/bad]}, terminationGracePeriodSeconds: 1"+often) +
		container("nohook", forever, ", lifecycle: {postStart: {exec: {command: [sh, -c, 'echo no hook; exit 3']}}}"))

	state := func(name string) func() string {
		return func() string {
			status := `{.status.containerStatuses[?(@.name=="` + name + `")]`
			return c.Kubectl("get", "pod", "p", "-o", "jsonpath="+status+".started} "+status+".ready} "+status+".restartCount}")
		}
	}
	for _, name := range []string{"web", "grpc"} {
		c.Eventually(60*time.Second, "true false 0", state(name))
	}
	c.Eventually(60*time.Second, "true true 0", state("tcp"))
	c.Eventually(60*time.Second, "false false 0", state("stubborn"))
	tells := func(what string) {
		t.Helper()
		c.Eventually(60*time.Second, "true", func() string {
			return yes(strings.Contains(c.Kubectl("events", "--for", "pod/p"), what))
		})
	}
	tells("Readiness probe failed: HTTP probe failed with statuscode: 503")
	tells(`Readiness probe failed: service unhealthy (responded with "NOT_SERVING")`)
	tells("Startup probe failed:")
	tells("PostStartHook failed")
	if n := hooks.Load(); n != 1 {
		t.Errorf("the postStart hook was asked %d times", n)
	}

	healthy.Store(true)
	vital.SetServingStatus("svc", grpc_health_v1.HealthCheckResponse_SERVING)
	for _, name := range []string{"web", "grpc"} {
		c.Eventually(60*time.Second, "true true 0", state(name))
	}
	// Liveness counts from startup's success on; its own grace is short.
	c.Kubectl("exec", "p", "-c", "stubborn", "--", "touch", "/tmp/started")
	c.Eventually(60*time.Second, "true true 0", state("stubborn"))
	c.Kubectl("exec", "p", "-c", "stubborn", "--", "touch", "/tmp/bad")
	c.Eventually(60*time.Second, "1 137", func() string {
		status := `{.status.containerStatuses[?(@.name=="stubborn")]`
		return c.Kubectl("get", "pod", "p", "-o", "jsonpath="+status+".restartCount} "+status+".lastState.terminated.exitCode}")
	})
	tells("Container stubborn failed liveness probe, will be restarted")

	vital.SetServingStatus("svc", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	c.Eventually(60*time.Second, "true false 0", state("grpc"))
	began := time.Now()
	c.Kubectl("delete", "pod", "p", "--grace-period=2", "--timeout=150s")
	if took := time.Since(began); took < time.Second {
		t.Error(fmt.Sprint("the preStop hook was not waited for: gone after ", took))
	}
}
