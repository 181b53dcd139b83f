package apiserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
)

// echo says what it was asked, and upgrades connections to one that echoes.
func echo(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Upgrade") != "" {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(conn, "you said "+line)
		return
	}
	body, _ := io.ReadAll(req.Body)
	if strings.HasSuffix(req.URL.Path, "/page") {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href="/other">x</a>`)
		return
	}
	if req.URL.Path == "/teapot" {
		w.WriteHeader(http.StatusTeapot)
	}
	fmt.Fprintf(w, "%s %s %s", req.Method, req.URL, body)
}

// withBackends starts a server whose cluster has a plain and a TLS web server
// behind every address, of ports 80 and 443 or 10250.
func withBackends(t *testing.T) (*apitest.Env, chan string) {
	plain, secure := httptest.NewServer(http.HandlerFunc(echo)), httptest.NewTLSServer(http.HandlerFunc(echo))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	dialled := make(chan string, 100)
	e := apitest.Start(t, func(c *apiserver.Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled <- address
			to := plain.Listener
			if _, port, _ := net.SplitHostPort(address); port == "443" || port == "10250" {
				to = secure.Listener
			}
			return (&net.Dialer{}).DialContext(ctx, network, to.Addr().String())
		}
	})
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.7"}}}}
	must[*corev1.Node](t)(e.Client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}))
	pod := newPod("p")
	pod.Spec.NodeName = "n1"
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80}}
	pod = must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}))
	pod.Status.PodIPs, pod.Status.PodIP = []corev1.PodIP{{IP: "10.9.0.5"}}, "10.9.0.5"
	must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}))
	return e, dialled
}

func TestProxyToPodsAndNodes(t *testing.T) {
	e, dialled := withBackends(t)
	client := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(e.TLS)).CoreV1().RESTClient()
	for _, c := range []struct{ verb, path, want, address string }{
		{"GET", "/api/v1/namespaces/default/pods/p/proxy/a/b/?x=1", "GET /a/b/?x=1 ", "10.9.0.5:80"},
		{"POST", "/api/v1/namespaces/default/pods/p:80/proxy/a", "POST /a hello", ""},
		{"PUT", "/api/v1/namespaces/default/pods/http:p:80/proxy/", "PUT / hello", ""},
		{"PATCH", "/api/v1/namespaces/default/pods/p/proxy", "PATCH / hello", ""},
		{"DELETE", "/api/v1/namespaces/default/pods/p/proxy/a", "DELETE /a ", ""},
		{"GET", "/api/v1/namespaces/default/pods/https:p:443/proxy/tls", "GET /tls ", "10.9.0.5:443"},
		{"GET", "/api/v1/namespaces/default/pods/p/proxy/page", `<a href="/api/v1/namespaces/default/pods/p/proxy/other">x</a>`, ""},
		{"GET", "/api/v1/nodes/n1/proxy/metrics", "GET /metrics ", "192.0.2.7:10250"},
		{"GET", "/api/v1/nodes/https:n1:10250/proxy/pods", "GET /pods ", ""},
		{"GET", "/api/v1/nodes/n1:9100/proxy/metrics", "GET /metrics ", "192.0.2.7:9100"},
	} {
		req := client.Verb(c.verb).AbsPath(strings.SplitN(c.path, "?", 2)[0])
		if _, query, ok := strings.Cut(c.path, "?"); ok {
			req = req.Param(query[:1], query[2:])
		}
		if c.verb[0] == 'P' {
			req = req.Body([]byte("hello"))
		}
		got, err := req.DoRaw(t.Context())
		if err != nil || string(got) != c.want {
			t.Errorf("%s %s: got %q, %v", c.verb, c.path, got, err)
		}
		if c.address != "" {
			if got := <-dialled; got != c.address {
				t.Errorf("%s: dialled %s, want %s", c.path, got, c.address)
			}
		}
	}
	_, err := client.Get().AbsPath("/api/v1/namespaces/default/pods/p/proxy/teapot").DoRaw(t.Context())
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) || status.Status().Code != http.StatusTeapot {
		t.Errorf("the answer's code is lost: %v", err)
	}
	if got := upgrade(t, e.TLS, "/api/v1/namespaces/default/pods/p/proxy/ws"); got != "you said hi\n" {
		t.Errorf("an upgraded connection says %q", got)
	}
}

// upgrade speaks a protocol of its own through the API server.
func upgrade(t *testing.T, config *restclient.Config, path string) string {
	t.Helper()
	transport := must[http.RoundTripper](t)(restclient.TransportFor(withHTTP1(config)))
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+path, nil))
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp := must[*http.Response](t)(transport.RoundTrip(req))
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s", resp.Status, body)
	}
	fmt.Fprint(resp.Body.(io.Writer), "hi\n")
	line := must[string](t)(bufio.NewReader(resp.Body).ReadString('\n'))
	return line
}

func withHTTP1(config *restclient.Config) *restclient.Config {
	c := restclient.CopyConfig(config)
	c.NextProtos = []string{"http/1.1"}
	return c
}

func TestProxyRefusals(t *testing.T) {
	e, _ := withBackends(t)
	ctx := t.Context()
	must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Create(ctx, newPod("waiting"), metav1.CreateOptions{}))
	local := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}}}
	must[*corev1.Node](t)(e.Client.CoreV1().Nodes().Create(ctx, local, metav1.CreateOptions{}))
	must[*corev1.Service](t)(e.Client.CoreV1().Services(namespace).Create(ctx, newService("s"), metav1.CreateOptions{}))
	for path, want := range map[string]string{
		"namespaces/default/pods/none/proxy/":        `pods "none" not found`,
		"namespaces/default/pods/waiting/proxy/":     "address not allowed",
		"namespaces/default/pods/a:b:c:d/proxy/":     `invalid pod request "a:b:c:d"`,
		"namespaces/default/services/a:b:c:d/proxy/": `invalid service request "a:b:c:d"`,
		"namespaces/default/services/none/proxy/":    `endpoints "none" not found`,
		"namespaces/default/services/none:1/proxy/":  `services "none" not found`,
		"namespaces/default/services/s/proxy/":       `no endpoints available for service "s"`,
		"namespaces/default/services/s:81/proxy/":    `no service port 81 found for service "s"`,
		"nodes/local/proxy/":                         "address not allowed",
		"nodes/none/proxy/":                          `nodes "none" not found`,
		"nodes/a:b:c:d/proxy/":                       `invalid node request "a:b:c:d"`,
	} {
		err := e.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/" + path).Do(ctx).Error()
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestProxyToServices(t *testing.T) {
	e, _ := withBackends(t)
	ctx := t.Context()
	must[*corev1.Service](t)(e.Client.CoreV1().Services(namespace).Create(ctx, newService("s"), metav1.CreateOptions{}))
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "s-1", Labels: map[string]string{discoveryv1.LabelServiceName: "s"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(80))}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.9.0.9"}}, // nobody's
			{Addresses: []string{"10.9.0.6"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "p"}}, // no longer its
			{Addresses: []string{"10.9.0.5"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "p"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
		},
	}
	slice = must[*discoveryv1.EndpointSlice](t)(e.Client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{}))
	get := func(id string) (string, error) {
		res := e.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces/default/services/" + id + "/proxy/x").Do(ctx)
		got, _ := res.Raw()
		return string(got), res.Error()
	}
	if _, err := get("s:http"); err == nil || err.Error() != `no endpoints available for service "s:http"` || !apierrors.IsServiceUnavailable(err) {
		t.Errorf("without a ready pod: %v", err)
	}
	slice.Endpoints[2].Conditions.Ready = ptr.To(true)
	must[*discoveryv1.EndpointSlice](t)(e.Client.DiscoveryV1().EndpointSlices(namespace).Update(ctx, slice, metav1.UpdateOptions{}))
	for _, id := range []string{"s:http", "s:80", "http:s:http"} {
		eventually(t, "an answer through "+id, func() bool {
			got, err := get(id)
			return err == nil && got == "GET /x "
		})
	}
	if _, err := get("s:other"); err == nil || err.Error() != `no endpoints available for service "s:other"` {
		t.Errorf("a port that there is not: %v", err)
	}
}
