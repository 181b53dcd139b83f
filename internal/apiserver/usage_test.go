package apiserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	metrics "k8s.io/metrics/pkg/client/clientset/versioned"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/pki"
)

// usedWorld is an API server with a node whose agent says that default/web uses
// a quarter of a processor.
func usedWorld(t *testing.T) (*apitest.Env, *atomic.Int32) {
	t.Helper()
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	e := apitest.Start(t, func(c *apiserver.Config) {
		if err := secure.Apply(c, secure.Options{PKI: set}); err != nil {
			t.Fatal(err)
		}
	})
	asked := &atomic.Int32{}
	agent := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/metrics/resource" || req.TLS.PeerCertificates[0].Subject.CommonName != "kube-apiserver-kubelet-client" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		asked.Add(1)
		now := time.Now()
		seconds := float64(now.UnixMilli()%1e9) / 1000
		fmt.Fprintf(w, "node_cpu_usage_seconds_total %f %d\nnode_memory_working_set_bytes 1.073741824e+09 %d\n", seconds, now.UnixMilli(), now.UnixMilli())
		for _, c := range []string{"a", "b"} {
			labels := fmt.Sprintf(`{container=%q,namespace="default",pod="web"}`, c)
			fmt.Fprintf(w, "container_cpu_usage_seconds_total%s %f %d\ncontainer_memory_working_set_bytes%s 1.048576e+06 %d\n", labels, seconds/8, now.UnixMilli(), labels, now.UnixMilli())
		}
	}))
	pair, err := set.NodeServing.TLS()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(set.CA.CertPEM)
	agent.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	agent.StartTLS()
	t.Cleanup(agent.Close)

	at := netip.MustParseAddrPort(agent.Listener.Addr().String())
	for _, name := range []string{"n1", "gone"} {
		node, err := e.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": name}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if name == "gone" {
			continue
		}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: at.Addr().String()}}
		node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(at.Port())
		if _, err := e.Client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, on := range map[string]string{"web": "n1", "fresh": "n1", "lost": "gone"} {
		pod, err := e.Client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{NodeName: on, Containers: []corev1.Container{{Name: "a", Image: "x"}, {Name: "b", Image: "x"}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod.Status.Phase = corev1.PodRunning
		for _, c := range []string{"a", "b"} {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: c, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
		}
		if _, err := e.Client.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return e, asked
}

func TestResourceMetrics(t *testing.T) {
	e, asked := usedWorld(t)
	ctx := t.Context()
	client := metrics.NewForConfigOrDie(e.Config).MetricsV1beta1()

	pod, err := client.PodMetricses("default").Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first := asked.Load()
	if len(pod.Containers) != 2 || pod.Containers[0].Name != "a" || pod.Labels["app"] != "web" || pod.Window.Duration < time.Second {
		t.Errorf("%+v", pod)
	}
	near := func(what string, list corev1.ResourceList, cpu float64, memory int64) {
		t.Helper()
		if got := list.Cpu().AsApproximateFloat64(); got < cpu*0.98 || got > cpu*1.02 || list.Memory().Value() != memory || list.Cpu().Format != "DecimalSI" {
			t.Errorf("%s uses %v", what, list)
		}
	}
	near("container b", pod.Containers[1].Usage, 0.125, 1<<20)

	pods, err := client.PodMetricses("").List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].Name != "web" {
		t.Errorf("%+v, %v", pods, err)
	}
	if pods, err = client.PodMetricses("default").List(ctx, metav1.ListOptions{LabelSelector: "app=fresh"}); err != nil || len(pods.Items) != 0 {
		t.Errorf("%+v, %v", pods, err)
	}
	nodes, err := client.NodeMetricses().List(ctx, metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 || nodes.Items[0].Labels["zone"] != "n1" {
		t.Fatalf("%+v, %v", nodes, err)
	}
	near("the node", nodes.Items[0].Usage, 1, 1<<30)
	if got := asked.Load(); got != first {
		t.Errorf("the agent was asked %d times more within some seconds", got-first)
	}

	_, err = client.PodMetricses("default").Get(ctx, "fresh", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) || err.Error() != `pods.metrics.k8s.io "default/fresh" not found` {
		t.Errorf("a pod without metrics: %v", err)
	}
	_, err = client.NodeMetricses().Get(ctx, "gone", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) || err.Error() != `nodes.metrics.k8s.io "gone" not found` {
		t.Errorf("a dead node: %v", err)
	}
	if _, err = client.PodMetricses("default").Get(ctx, "never", metav1.GetOptions{}); !apierrors.IsNotFound(err) || err.Error() != `pods "never" not found` {
		t.Errorf("no such pod: %v", err)
	}

	raw := func(path, accept string) string {
		t.Helper()
		text, err := e.Client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	table := raw("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", "application/json;as=Table;g=meta.k8s.io;v=v1")
	for _, want := range []string{`"name":"cpu","type":"string","format":"quantity"`, `"name":"Window"`, `["web","`} {
		if !strings.Contains(table, want) {
			t.Errorf("no %s in %s", want, table)
		}
	}
	if doc := raw("/apis/metrics.k8s.io/v1beta1", "application/json"); !strings.Contains(doc, `{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}`) {
		t.Errorf("discovery: %s", doc)
	}
	if doc := raw("/openapi/v3/apis/metrics.k8s.io/v1beta1", "application/json"); !strings.Contains(doc, "PodMetricsList") {
		t.Error("no OpenAPI")
	}

	viewer := rest.CopyConfig(e.As("jane"))
	_, err = metrics.NewForConfigOrDie(viewer).MetricsV1beta1().PodMetricses("default").List(ctx, metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("jane may not see metrics: %v", err)
	}
}
