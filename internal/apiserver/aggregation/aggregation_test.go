package aggregation_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	registration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

func apiServices(t *testing.T, e *apitest.Env) registration.APIServiceInterface {
	t.Helper()
	c, err := clientset.NewForConfig(e.Config)
	if err != nil {
		t.Fatal(err)
	}
	return c.ApiregistrationV1().APIServices()
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}

// awaitCondition waits for the Available condition that reads "Status Reason: message".
func awaitCondition(t *testing.T, e *apitest.Env, name, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, err := apiServices(t, e).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := helper.GetAPIServiceConditionByType(s, apiregistrationv1.Available); c != nil {
			if got = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message); got == want {
				return
			}
		}
	}
	t.Fatalf("%s is %q, want %q", name, got, want)
}

func get(t *testing.T, e *apitest.Env, path string) (int, string) {
	t.Helper()
	client, err := rest.HTTPClientFor(e.TLS)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.TLS.Host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAggregatedServer(t *testing.T) {
	e := apitest.Start(t)
	m := startMetricsServer(t, e.FrontProxyCA)
	m.service(e, "metrics-server")
	if _, err := apiServices(t, e).Create(t.Context(), metricsAPIService("metrics-server", m.port), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, e, "v1beta1.metrics.example.org", "True Passed: all checks passed")

	check := func() {
		t.Helper()
		if code, body := get(t, e, "/apis/metrics.example.org/v1beta1/nodes"); code != http.StatusOK || !strings.Contains(body, `"name":"n1"`) {
			t.Errorf("nodes: %d %s", code, body)
		}
		if _, body := get(t, e, "/apis"); !strings.Contains(body, `{"name":"metrics.example.org","versions":[{"groupVersion":"metrics.example.org/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"metrics.example.org/v1beta1","version":"v1beta1"}}`) {
			t.Errorf("/apis does not list the group: %s", body)
		}
		if _, body := get(t, e, "/apis/metrics.example.org"); !strings.Contains(body, `"kind":"APIGroup"`) {
			t.Errorf("the group's document is %s", body)
		}
		disco := discovery.NewDiscoveryClientForConfigOrDie(e.TLS)
		eventually(t, "aggregated discovery", func() bool {
			_, lists, err := disco.ServerGroupsAndResources()
			for _, l := range lists {
				if l.GroupVersion == "metrics.example.org/v1beta1" {
					return err == nil && len(l.APIResources) == 2
				}
			}
			return false
		})
		if code, body := get(t, e, "/openapi/v2"); code != http.StatusOK || !strings.Contains(body, "NodeMetrics says how busy a node is.") || strings.Contains(body, "/elsewhere") {
			t.Errorf("/openapi/v2 is not merged: %d", code)
		}
		if code, body := get(t, e, "/openapi/v3/apis/metrics.example.org/v1beta1"); code != http.StatusOK || !strings.Contains(body, "NodeMetrics says how busy a node is.") {
			t.Errorf("/openapi/v3 is not merged: %d %s", code, body)
		}
		if _, body := get(t, e, "/openapi/v3"); !strings.Contains(body, "apis/metrics.example.org/v1beta1") || !strings.Contains(body, "apis/apps/v1") {
			t.Error("/openapi/v3 does not list the group")
		}
	}
	check()
	if got := m.lastHeader(); got.Get("X-Remote-User") != "admin" || strings.Join(got["X-Remote-Group"], ",") != "system:masters,system:authenticated" && strings.Join(got["X-Remote-Group"], ",") != "system:masters" {
		t.Errorf("the server was told %v", got)
	}
	if m.lastHeader().Get("Audit-Id") == "" {
		t.Error("the audit ID is not handed on")
	}
	upgrade(t, e)
	e.Restart()
	check()

	if err := apiServices(t, e).Delete(t.Context(), "v1beta1.metrics.example.org", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the group's end", func() bool {
		code, _ := get(t, e, "/apis/metrics.example.org/v1beta1/nodes")
		_, all := get(t, e, "/apis")
		_, doc := get(t, e, "/openapi/v3")
		_, v2 := get(t, e, "/openapi/v2")
		return code == http.StatusNotFound && !strings.Contains(all+doc+v2, "metrics.example.org")
	})
}

// upgrade talks through a connection that has switched protocols.
func upgrade(t *testing.T, e *apitest.Env) {
	t.Helper()
	config, err := rest.TLSConfigFor(e.TLS)
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(e.TLS.Host, "https://"), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /apis/metrics.example.org/v1beta1/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprintln(conn, "ahoy")
	if line, err := in.ReadString('\n'); err != nil || line != "admin said ahoy\n" {
		t.Errorf("the echo is %q, %v", line, err)
	}
}

func TestUnavailable(t *testing.T) {
	e := apitest.Start(t)
	m := startMetricsServer(t, e.FrontProxyCA)
	const name = "v1beta1.metrics.example.org"
	if _, err := apiServices(t, e).Create(t.Context(), metricsAPIService("metrics-server", 443), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, e, name, `False ServiceNotFound: service/metrics-server in "kube-system" is not present`)
	if code, body := get(t, e, "/apis/metrics.example.org/v1beta1/nodes"); code != http.StatusServiceUnavailable || body != "service unavailable\n" {
		t.Errorf("answer is %d %q", code, body)
	}
	services := e.Client.CoreV1().Services("kube-system")
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-server"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 444}}},
	}
	service, err := services.Create(t.Context(), service, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, e, name, `False ServicePortError: service/metrics-server in "kube-system" is not listening on port 443`)
	service.Spec.Ports[0].Port = 443
	if _, err := services.Update(t.Context(), service, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, e, name, `False EndpointsNotFound: cannot find endpointslices for service/metrics-server in "kube-system"`)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "metrics-server-1", Labels: map[string]string{discoveryv1.LabelServiceName: "metrics-server"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To[int32](443)}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.7"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}}},
	}
	if _, err := e.Client.DiscoveryV1().EndpointSlices("kube-system").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, e, name, `False MissingEndpoints: endpointslices for service/metrics-server in "kube-system" have no addresses with port name "https"`)
	if err := services.Delete(t.Context(), "metrics-server", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	// A server that answers, and then does not.
	m.service(e, "local")
	// Its status is written meanwhile.
	change := func(how func(*apiregistrationv1.APIService)) {
		t.Helper()
		if err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			s, err := apiServices(t, e).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			how(s)
			_, err = apiServices(t, e).Update(t.Context(), s, metav1.UpdateOptions{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	change(func(s *apiregistrationv1.APIService) { s.Spec.Service.Name, s.Spec.Service.Port = "local", &m.port })
	awaitCondition(t, e, name, "True Passed: all checks passed")
	change(func(s *apiregistrationv1.APIService) {
		s.Spec.InsecureSkipTLSVerify, s.Spec.CABundle = false, m.caBundle()
	})
	url := fmt.Sprintf("https://localhost:%d/apis/metrics.example.org/v1beta1", m.port)
	failing := func(why string) string {
		return fmt.Sprintf("False FailedDiscoveryCheck: failing or missing response from %s: Get %q: %s", url, url, why)
	}
	awaitCondition(t, e, name, failing("tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not local.kube-system.svc"))
	// Nothing else suffers.
	if _, err := e.Client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	disco := discovery.NewDiscoveryClientForConfigOrDie(e.TLS)
	_, lists, err := disco.ServerGroupsAndResources()
	if want := "unable to retrieve the complete list of server APIs: metrics.example.org/v1beta1: stale GroupVersion discovery: metrics.example.org/v1beta1"; err == nil || err.Error() != want {
		t.Errorf("discovery says %v, want %s", err, want)
	}
	if len(lists) < 5 {
		t.Errorf("only %d group versions are left", len(lists))
	}
	change(func(s *apiregistrationv1.APIService) { s.Spec.InsecureSkipTLSVerify, s.Spec.CABundle = true, nil })
	awaitCondition(t, e, name, "True Passed: all checks passed")
	m.http.Close()
	_, err = e.Client.Discovery().RESTClient().Get().AbsPath("/apis/metrics.example.org/v1beta1/nodes").DoRaw(t.Context())
	if !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a request while the server is down: %v", err)
	}
}

// metrics.k8s.io is served here until somebody installs a server for it, and
// again when that is gone.
func TestMetricsServerTakesOver(t *testing.T) {
	e := apitest.Start(t)
	const name, nodes = "v1beta1.metrics.k8s.io", "/apis/metrics.k8s.io/v1beta1/nodes"
	here := func() bool {
		code, body := get(t, e, nodes)
		return code == http.StatusOK && strings.Contains(body, `"items":[]`)
	}
	if _, all := get(t, e, "/apis"); !here() || !strings.Contains(all, `"metrics.k8s.io/v1beta1"`) {
		t.Fatalf("nodes are not served, or not listed: %s", all)
	}
	m := startMetricsServer(t, e.FrontProxyCA)
	m.group = "metrics.k8s.io"
	m.service(e, "metrics-server")
	s := metricsAPIService("metrics-server", m.port)
	s.Name, s.Spec.Group = name, m.group
	if _, err := apiServices(t, e).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, e, name, "True Passed: all checks passed")
	theirs := func() {
		t.Helper()
		if code, body := get(t, e, nodes); code != http.StatusOK || !strings.Contains(body, `"name":"n1"`) {
			t.Errorf("nodes: %d %s", code, body)
		}
		for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/metrics.k8s.io/v1beta1"} {
			if code, body := get(t, e, path); code != http.StatusOK || !strings.Contains(body, "PodMetrics") {
				t.Errorf("%s: %d", path, code)
			}
		}
	}
	theirs()
	e.Restart()
	theirs()
	if err := apiServices(t, e).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answers of this server", here)
	if code, _ := get(t, e, "/openapi/v3/apis/metrics.k8s.io/v1beta1"); code != http.StatusOK {
		t.Errorf("the document is gone: %d", code)
	}
	disco := discovery.NewDiscoveryClientForConfigOrDie(e.TLS)
	eventually(t, "discovery of this server", func() bool {
		list, err := disco.ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1")
		return err == nil && len(list.APIResources) == 2 && len(list.APIResources[1].Verbs) == 2
	})
}
