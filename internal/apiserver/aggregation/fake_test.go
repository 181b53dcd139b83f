package aggregation_test

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

const group = "metrics.example.org"

// metricsServer is an aggregated API server that serves nodes of metrics.example.org
// and believes what requests say of their user if the front proxy vouches.
type metricsServer struct {
	t    *testing.T
	http *httptest.Server
	port int32
	// group is another than usual that it serves.
	group string

	mu   sync.Mutex
	last http.Header // of the last request for nodes
}

func startMetricsServer(t *testing.T, frontProxyCA []byte) *metricsServer {
	t.Helper()
	m := &metricsServer{t: t}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(frontProxyCA) {
		t.Fatal("no front proxy authority")
	}
	m.http = httptest.NewUnstartedServer(http.HandlerFunc(m.serve))
	m.http.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	m.http.StartTLS()
	t.Cleanup(m.http.Close)
	_, port, err := net.SplitHostPort(m.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	m.port = int32(number)
	return m
}

func (m *metricsServer) serve(w http.ResponseWriter, req *http.Request) {
	if cn := req.TLS.PeerCertificates[0].Subject.CommonName; cn != "front-proxy-client" || req.Header.Get("X-Remote-User") == "" {
		http.Error(w, "who are you, "+cn+"?", http.StatusUnauthorized)
		return
	}
	group := cmp.Or(m.group, group)
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			m.t.Error(err)
		}
	}
	kind := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{Kind: kind, APIVersion: group + "/v1beta1"}
	}
	switch req.URL.Path {
	case "/apis/" + group + "/v1beta1":
		answer(&metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: group + "/v1beta1",
			APIResources: []metav1.APIResource{
				{Name: "nodes", SingularName: "", Kind: "NodeMetrics", Verbs: metav1.Verbs{"get", "list"}},
				{Name: "pods", SingularName: "", Kind: "PodMetrics", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "delete"}},
			},
		})
	case "/apis/" + group + "/v1beta1/nodes":
		m.mu.Lock()
		m.last = req.Header.Clone()
		m.mu.Unlock()
		answer(map[string]any{
			"kind": "NodeMetricsList", "apiVersion": kind("").APIVersion, "metadata": map[string]any{},
			"items": []any{map[string]any{"metadata": map[string]any{"name": "n1"}, "usage": map[string]any{"cpu": "1"}}},
		})
	case "/apis/" + group + "/v1beta1/echo":
		m.echo(w, req)
	case "/openapi/v2":
		answer(openAPI())
	default:
		http.NotFound(w, req)
	}
}

// echo switches protocols and sends back each line that it gets, with the user's name.
func (m *metricsServer) echo(w http.ResponseWriter, req *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		m.t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	lines := bufio.NewScanner(buffered)
	for lines.Scan() {
		_, _ = io.WriteString(conn, req.Header.Get("X-Remote-User")+" said "+lines.Text()+"\n")
	}
}

func (m *metricsServer) lastHeader() http.Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// caBundle is the PEM of the authority that a client must trust: the server's
// own certificate. It is made for example.com alone.
func (m *metricsServer) caBundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.http.Certificate().Raw})
}

// service creates a Service whose address is this machine.
func (m *metricsServer) service(e *apitest.Env, name string) {
	m.t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
	if _, err := e.Client.CoreV1().Services("kube-system").Create(m.t.Context(), service, metav1.CreateOptions{}); err != nil {
		m.t.Fatal(err)
	}
}

func metricsAPIService(service string, port int32) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1beta1." + group},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: group, Version: "v1beta1", GroupPriorityMinimum: 100, VersionPriority: 100,
			InsecureSkipTLSVerify: true,
			Service:               &apiregistrationv1.ServiceReference{Namespace: "kube-system", Name: service, Port: ptr.To(port)},
		},
	}
}

func openAPI() map[string]any {
	gvk := []any{map[string]any{"group": group, "version": "v1beta1", "kind": "NodeMetrics"}}
	return map[string]any{
		"swagger": "2.0", "info": map[string]any{"title": "metrics", "version": "v1"},
		"paths": map[string]any{
			"/apis/" + group + "/v1beta1/nodes/{name}": map[string]any{
				"get": map[string]any{
					"x-kubernetes-action":             "get",
					"x-kubernetes-group-version-kind": gvk[0],
					"produces":                        []any{"application/json"},
					"responses": map[string]any{"200": map[string]any{
						"description": "OK", "schema": map[string]any{"$ref": "#/definitions/io.example.NodeMetrics"},
					}},
				},
			},
			"/elsewhere": map[string]any{},
		},
		"definitions": map[string]any{
			"io.example.NodeMetrics": map[string]any{
				"description": "NodeMetrics says how busy a node is.", "type": "object",
				"properties":                      map[string]any{"usage": map[string]any{"type": "object", "description": "what is in use"}},
				"x-kubernetes-group-version-kind": gvk,
			},
		},
	}
}
