package behaviour

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
)

const maps = "/api/v1/namespaces/default/configmaps"

// wire is a client that sees requests and answers as they are.
type wire struct {
	*apitest.Env
	t    *testing.T
	http *http.Client
	base string
}

type answer struct {
	code   int
	header http.Header
	body   string
}

func start(t *testing.T, tune ...func(*apiserver.Config)) *wire {
	t.Helper()
	w := &wire{Env: apitest.Start(t, tune...), t: t}
	w.connect()
	return w
}

func (w *wire) connect() {
	w.t.Helper()
	config := rest.CopyConfig(w.TLS)
	config.DisableCompression = true
	var err error
	if w.http, err = rest.HTTPClientFor(config); err != nil {
		w.t.Fatal(err)
	}
	w.base = config.Host
}

// do sends a request; headers are "Name: value".
func (w *wire) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	res := w.open(w.t.Context(), method, path, body, headers...)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(data)}
}

func (w *wire) open(ctx context.Context, method, path, body string, headers ...string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

func (w *wire) get(path string, headers ...string) answer {
	w.t.Helper()
	return w.do(http.MethodGet, path, "", headers...)
}

// must is a request that has to be answered with 200 or 201.
func (w *wire) must(method, path, body string, headers ...string) answer {
	w.t.Helper()
	a := w.do(method, path, body, headers...)
	if a.code != http.StatusOK && a.code != http.StatusCreated {
		w.t.Fatalf("%s %s: %d %s", method, path, a.code, a.body)
	}
	return a
}

func (w *wire) makeMap(name string) answer {
	w.t.Helper()
	return w.must(http.MethodPost, maps, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"`+name+`"},"data":{"k":"v"}}`)
}

// status checks an answer that is a Status.
func (a answer) status(t *testing.T, code int, reason metav1.StatusReason, message string) metav1.Status {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Errorf("not a Status: %d %q", a.code, a.body)
		return s
	}
	if s.Kind != "Status" || s.APIVersion != "v1" || a.code != code || int(s.Code) != code || s.Reason != reason || !strings.Contains(s.Message, message) {
		t.Errorf("got %d %s, want %d %s %q", a.code, a.body, code, reason, message)
	}
	return s
}

// into decodes a JSON answer.
func into[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %d %s", err, a.code, a.body)
	}
	return v
}

// event is one line of a watch.
type event struct {
	Type   string
	Object struct {
		metav1.TypeMeta
		metav1.ObjectMeta `json:"metadata"`
		Code              int
		Reason, Message   string
		Rows              []metav1.TableRow
		ColumnDefinitions []metav1.TableColumnDefinition
	}
}

// watch reads events until done says so, or ten seconds are over.
func (w *wire) watch(path string, done func([]event) bool, headers ...string) []event {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	res := w.open(ctx, http.MethodGet, path, "", headers...)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		w.t.Fatalf("watch %s: %d %s", path, res.StatusCode, body)
	}
	var seen []event
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	for !done(seen) && lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.t.Fatalf("watch %s: %v: %s", path, err, lines.Text())
		}
		seen = append(seen, e)
	}
	if !done(seen) {
		w.t.Errorf("watch %s ended (%v) after %d events", path, lines.Err(), len(seen))
	}
	return seen
}

// serviceCIDRs are what a second server can be made with.
func (w *wire) serviceCIDRs() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix(apitest.ServiceCIDR)}
}

func count(n int) func([]event) bool { return func(seen []event) bool { return len(seen) >= n } }
