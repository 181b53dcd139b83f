package fuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/pki"
)

// door is one way into a server.
type door struct {
	name   string
	base   string
	client *http.Client
	header http.Header
}

// world is a running server with an object of each kind in it.
type world struct {
	*apitest.Env
	memory, tls door
	seeds       []seeded
}

// seeded is a manifest and where it is created.
type seeded struct {
	manifest manifest
	kind     api.Kind
	path     string // of the collection
	name     string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	w.Env = apitest.Start(t, func(c *apiserver.Config) {
		if err := secure.Apply(c, secure.Options{PKI: set}); err != nil {
			t.Fatal(err)
		}
	})
	w.memory = open(t, "in memory", w.Config)
	w.tls = open(t, "TLS", &rest.Config{Host: "https://" + w.Server.Addr().String(), TLSClientConfig: rest.TLSClientConfig{
		CAData: set.CA.CertPEM, CertData: set.Admin.CertPEM, KeyData: set.Admin.KeyPEM,
	}})
	w.seeds = locate(t)
	w.plant(t, w.memory)
	w.settle(t)
	return w
}

func open(t testing.TB, name string, c *rest.Config) door {
	t.Helper()
	transport, err := rest.TransportFor(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if idle, ok := transport.(interface{ CloseIdleConnections() }); ok {
			idle.CloseIdleConnections()
		}
	})
	return door{name: name, base: c.Host, client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func locate(t testing.TB) []seeded {
	t.Helper()
	known := seeds(t)
	var out []seeded
	for _, k := range api.Kinds() {
		for _, m := range known[k.GVK] {
			meta, _ := m["metadata"].(map[string]any)
			name, _ := meta["name"].(string)
			out = append(out, seeded{m, k, collection(k, "default"), name})
		}
	}
	return out
}

// collection is the path of k's objects, in namespace where they have one.
func collection(k api.Kind, namespace string) string {
	path := "/apis/" + k.GVK.GroupVersion().String()
	if k.GVK.Group == "" {
		path = "/api/" + k.GVK.Version
	}
	if k.Namespaced && namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + k.Resource
}

// plant creates what is missing of the seeds.
func (w *world) plant(t testing.TB, d door) {
	t.Helper()
	d.send(t, request{Method: "POST", Path: "/api/v1/namespaces/default/serviceaccounts", Body: []byte(`{"metadata":{"name":"default"}}`)})
	for _, s := range w.seeds {
		text, err := json.Marshal(s.manifest)
		if err != nil {
			t.Fatal(err)
		}
		d.send(t, request{Method: "POST", Path: s.path, Body: text})
	}
}

// settle waits until the server has written what it writes by itself.
func (w *world) settle(t testing.TB) {
	t.Helper()
	for last, deadline := int64(-1), time.Now().Add(time.Minute); ; {
		now := w.revision(t)
		if now == last {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not come to rest")
		}
		last = now
		time.Sleep(700 * time.Millisecond)
	}
}

func (w *world) revision(t testing.TB) int64 {
	t.Helper()
	r, err := w.Store.Client.KV.Get(t.Context(), "x", clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

// renewed are parts of the keys of what the server writes by itself, at any time.
var renewed = []string{
	"/masterleases/", "/leases/kube-system/", "compact_rev_key", "/clusterroles/", "/apiregistration.k8s.io/",
	"/validatingadmissionpolicies/", // the status: what type checking found
}

// changed lists the keys written after revision, but for those that the server
// renews by itself.
func (w *world) changed(t testing.TB, revision int64) []string {
	t.Helper()
	r, err := w.Store.Client.KV.Get(t.Context(), "/", clientv3.WithFromKey(), clientv3.WithKeysOnly(), clientv3.WithMinModRev(revision+1))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, kv := range r.Kvs {
		key := string(kv.Key)
		if !slices.ContainsFunc(renewed, func(part string) bool { return strings.Contains(key, part) }) {
			out = append(out, key)
		}
	}
	return out
}

// answer is what a server said.
type answer struct {
	Code int
	Body []byte
	Err  error
}

// status reads the answer as a Status; ok is false if it is none.
func (a answer) status() (reason, message string, ok bool) {
	var s struct{ Kind, Reason, Message string }
	if json.Unmarshal(a.Body, &s) != nil || s.Kind != "Status" {
		return "", "", false
	}
	return s.Reason, s.Message, true
}

// send does r and reads its answer, of a stream only the beginning.
func (d door) send(t testing.TB, r request) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req := r.build(ctx, d)
	resp, err := d.client.Do(req)
	if err != nil {
		return answer{Err: err}
	}
	defer resp.Body.Close()
	if r.streams() {
		stop := time.AfterFunc(100*time.Millisecond, cancel)
		defer stop.Stop()
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if r.streams() {
		err = nil
	}
	return answer{resp.StatusCode, body, err}
}

// request is a request that any server can be asked.
type request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

func (r request) streams() bool {
	return strings.Contains(r.Query, "watch") || strings.Contains(r.Path, "/watch") || strings.Contains(r.Query, "follow")
}

func (r request) build(ctx context.Context, d door) *http.Request {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", d.base+"/", body)
	if err != nil {
		panic(err) // of constants
	}
	req.Method = r.Method
	req.URL.Path, req.URL.RawQuery = r.Path, r.Query
	req.Header.Set("User-Agent", "fuzz/1")
	for name, values := range d.header {
		req.Header[name] = values
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if r.Body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func (r request) String() string {
	body := string(r.Body)
	if len(body) > 1500 {
		body = body[:1500] + "..."
	}
	path := r.Path
	if len(path) > 300 {
		path = path[:300] + "..."
	}
	return r.Method + " " + path + "?" + r.Query + "\n" + headerText(r.Header) + "\n" + body
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	if b.Len() > 500 {
		return b.String()[:500] + "..."
	}
	return strings.TrimSpace(b.String())
}
