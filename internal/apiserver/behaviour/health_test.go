package behaviour

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/version"
)

func TestHealth(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		if a := w.get(path); a.code != http.StatusOK || a.body != "ok" || a.header.Get("Content-Type") != "text/plain; charset=utf-8" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %q %v", path, a.code, a.body, a.header)
		}
		name := strings.TrimPrefix(path, "/")
		a := w.get(path + "?verbose")
		for _, want := range []string{"[+]ping ok\n", "[+]log ok\n", "[+]etcd ok\n", "[+]poststarthook/start-apiextensions-controllers ok\n", "[+]poststarthook/generic-apiserver-start-informers ok\n", name + " check passed\n"} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s?verbose lacks %q:\n%s", path, want, a.body)
			}
		}
		if a = w.get(path + "?verbose&exclude=etcd&exclude=log"); !strings.Contains(a.body, "[+]etcd excluded: ok\n") || !strings.Contains(a.body, "[+]log excluded: ok\n") {
			t.Errorf("%s without etcd:\n%s", path, a.body)
		}
		if a = w.get(path + "?exclude=nonsense&verbose"); a.code != http.StatusOK || !strings.Contains(a.body, "warn: some health checks cannot be excluded: no matches for \"nonsense\"\n") {
			t.Errorf("%s without what is not there: %d\n%s", path, a.code, a.body)
		}
		if a = w.get(path + "/etcd"); a.code != http.StatusOK || a.body != "ok" {
			t.Errorf("%s/etcd: %d %q", path, a.code, a.body)
		}
		if a = w.get(path + "/nonsense"); a.code != http.StatusNotFound {
			t.Errorf("%s/nonsense: %d %q", path, a.code, a.body)
		}
	}
	// What fails is named, and why stays in the log.
	if err := w.Store.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.get("/readyz")
	if a.code != http.StatusInternalServerError || !strings.Contains(a.body, "[-]etcd failed: reason withheld\n") || !strings.Contains(a.body, "readyz check failed\n") {
		t.Errorf("without etcd: %d %s", a.code, a.body)
	}
	if a = w.get("/readyz?exclude=etcd&exclude=etcd-readiness"); a.code != http.StatusOK || a.body != "ok" {
		t.Errorf("without etcd, which does not count: %d %s", a.code, a.body)
	}
	if a = w.get("/livez/ping"); a.code != http.StatusOK {
		t.Errorf("/livez/ping: %d", a.code)
	}
}

func TestVersion(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/version", "/version/"} {
		v := into[version.Info](t, w.get(path))
		if v.Major != "1" || v.Minor != "37" || !strings.HasPrefix(v.GitVersion, "v1.37.") || v.GoVersion == "" || v.Platform == "" || v.Compiler != "gc" || v.EmulationMajor == "" || v.MinCompatibilityMinor == "" {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := start(t)
	w.makeMap("a")
	w.get(maps)
	w.get(maps + "/none")
	a := w.get("/metrics")
	if a.code != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", a.code, a.header)
	}
	for _, want := range []string{
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"}`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"}`,
		`apiserver_request_duration_seconds_bucket{component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1",le="+Inf"}`,
		`apiserver_request_sli_duration_seconds_`, `apiserver_response_sizes_`, `apiserver_longrunning_requests{`, `apiserver_current_inflight_requests{request_kind="mutating"}`,
		`apiserver_storage_objects{`, `etcd_request_duration_seconds_bucket{`, `apiserver_storage_size_bytes{`, `apiserver_watch_cache_initializations_total{`, `apiserver_watch_events_total{`,
		`authentication_attempts{result="success"}`, `authenticated_user_requests{username="other"}`, `apiserver_tls_handshake_errors_total`, `kubernetes_build_info{`,
		`process_resident_memory_bytes`, `go_goroutines`, `rest_client_requests_total{`, `workqueue_depth{`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if a = w.get("/metrics/slis"); a.code != http.StatusOK || !strings.Contains(a.body, `kubernetes_healthcheck{name="etcd",type="readyz"} 1`) {
		t.Errorf("/metrics/slis: %d %.300s", a.code, a.body)
	}
}

func TestUnknownAndUnfit(t *testing.T) {
	w := start(t)
	w.makeMap("a")
	for _, path := range []string{"/nonsense", "/apis/nonsense.example.com/v1/things", "/openapi", "/openapi/v4"} {
		if a := w.get(path); a.code != http.StatusNotFound || a.body != "404 page not found\n" || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q", path, a.code, a.body)
		}
	}
	for _, path := range []string{"/apis/apps/v9/deployments", "/api/v2", "/apis/apps/v1/nonsense"} {
		w.get(path).status(t, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	}
	w.get("/api/v1/nonsense").status(t, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	w.get("/api/v1/namespaces/default/nonsense/x").status(t, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	s := w.get(maps+"/none").status(t, http.StatusNotFound, "NotFound", `configmaps "none" not found`)
	if s.Details == nil || s.Details.Name != "none" || s.Details.Kind != "configmaps" {
		t.Errorf("details: %+v", s.Details)
	}
	w.do(http.MethodPut, maps, "{}").status(t, http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
	w.do(http.MethodPost, maps+"/a", "{}").status(t, http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
	w.do("BREW", maps, "").status(t, http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
	w.get(maps, "Accept: text/html").status(t, http.StatusNotAcceptable, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch")
	w.do(http.MethodPost, maps, "x", "Content-Type: text/plain").status(t, http.StatusUnsupportedMediaType, "UnsupportedMediaType",
		"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf")
	w.do(http.MethodPatch, maps+"/a", "{}").status(t, http.StatusUnsupportedMediaType, "UnsupportedMediaType",
		"415: Unsupported Media Type")
	w.do(http.MethodPost, maps, `{"metadata":{"name":"big"},"data":{"k":"`+strings.Repeat("x", 3<<20)+`"}}`).
		status(t, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "limit is 3145728")
	w.do(http.MethodPost, maps, `{"metadata":{"name":"big"},"data":{"k":"`+strings.Repeat("x", 2<<20)+`"}}`).
		status(t, http.StatusUnprocessableEntity, "Invalid", `ConfigMap "big" is invalid: []: Too long: may not be more than 1048576 bytes`)
	w.do(http.MethodPatch, maps+"/a", "["+strings.Repeat(`{"op":"test","path":"/kind","value":"ConfigMap"},`, 10000)+`{"op":"test","path":"/kind","value":"ConfigMap"}]`, jsonPatch).
		status(t, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The allowed maximum operations in a JSON patch is 10000, got 10001")
	w.do(http.MethodPost, maps, `{"metadata":{"name":"deep"},"data":`+strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000)+"}").
		status(t, http.StatusBadRequest, "BadRequest", "exceeded max depth")
	w.do(http.MethodPost, maps, "").status(t, http.StatusBadRequest, "BadRequest", "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)")
	w.do(http.MethodPut, maps+"/a", `{"metadata":{"name":"a","resourceVersion":"1"}}`).
		status(t, http.StatusConflict, "Conflict", `Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again`)
	w.do(http.MethodPut, maps+"/a", `{"metadata":{"name":"b"}}`).
		status(t, http.StatusBadRequest, "BadRequest", "the name of the object (b) does not match the name on the URL (a)")
	w.do(http.MethodPost, maps, `{"metadata":{"name":"x","uid":"`+strings.Repeat("x", 10)+`"},"data":{"k":"`+"\xff\xfe"+`"}}`)
	var quiet any
	if err := json.Unmarshal([]byte(w.get(maps).body), &quiet); err != nil {
		t.Errorf("bad UTF-8 has made a bad list: %v", err)
	}
	w.do(http.MethodDelete, maps+"/a", `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"x"}}`).
		status(t, http.StatusConflict, "Conflict", `Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not match the UID in record (`)
	w.do(http.MethodDelete, maps+"/a", `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Sideways"}`).
		status(t, http.StatusUnprocessableEntity, "Invalid", `propagationPolicy: Unsupported value: "Sideways": supported values: "Foreground", "Background", "Orphan", "nil"`)
}
