package route

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emicklei/go-restful/v3"
	"pgregory.net/rapid"
)

// services are like those of the API server: several versions, paths that
// differ in a literal part only, and proxies with a rest of any length.
func services() []*restful.WebService {
	nothing := func(*restful.Request, *restful.Response) {}
	service := func(root string, routes ...string) *restful.WebService {
		ws := new(restful.WebService).Path(root).Consumes("*/*").Produces("application/json", "application/yaml")
		for _, r := range routes {
			method, path, _ := strings.Cut(r, " ")
			b := ws.Method(method).Path(path).To(nothing)
			switch method {
			case "PATCH":
				b = b.Consumes("application/json-patch+json", "application/merge-patch+json")
			case "CONNECT":
				b = b.Produces("*/*")
			}
			ws.Route(b)
		}
		return ws
	}
	return []*restful.WebService{
		service("/apis"),
		service("/version", "GET /"),
		service("/api/v1",
			"GET /", "GET /pods", "GET /namespaces", "POST /namespaces",
			"GET /namespaces/{name}", "PUT /namespaces/{name}", "PATCH /namespaces/{name}", "PUT /namespaces/{name}/finalize",
			"GET /namespaces/{namespace}/pods", "POST /namespaces/{namespace}/pods", "DELETE /namespaces/{namespace}/pods",
			"GET /namespaces/{namespace}/pods/{name}", "PATCH /namespaces/{namespace}/pods/{name}",
			"GET /namespaces/{namespace}/pods/{name}/log", "GET /namespaces/{namespace}/pods/{name}/status",
			"GET /namespaces/{namespace}/pods/{name}/proxy", "CONNECT /namespaces/{namespace}/pods/{name}/exec",
			"GET /namespaces/{namespace}/pods/{name}/proxy/{path:*}", "GET /watch/namespaces/{namespace}/pods", "GET /{kind}/{name}"),
		service("/apis/apps", "GET /"),
		service("/apis/apps/v1", "GET /", "GET /deployments", "GET /namespaces/{namespace}/deployments/{name}"),
	}
}

// Whatever is asked for, the answer is the library's.
func TestSameAsUsual(t *testing.T) {
	all := services()
	router, usual, plain := &Router{}, restful.CurlyRouter{}, 0
	part := rapid.SampledFrom([]string{"", "api", "apis", "v1", "apps", "version", "namespaces", "pods", "deployments", "watch", "log", "status", "proxy", "exec", "finalize", "a", "a:b", "{name}"})
	root := rapid.SampledFrom([]string{"/", "/api/v1/", "/api/v1/namespaces/a/pods/b/", "/apis/apps/v1/", "/api/v1/namespaces/"})
	header := rapid.SampledFrom([]string{
		"", "*/*", "application/json", "application/yaml", "text/html", "application/merge-patch+json", "application/json-patch+json; charset=utf-8",
		"text/html,application/json;q=0.9", "application/json;as=Table, application/json", "application/json, */*", " application/json", "application/vnd.kubernetes.protobuf",
	})
	rapid.Check(t, func(t *rapid.T) {
		path := root.Draw(t, "root") + strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "parts"), "/")
		req := httptest.NewRequestWithContext(t.Context(), rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "HEAD", "OPTIONS"}).Draw(t, "method"), "http://localhost/", http.NoBody)
		req.URL.Path = path
		for _, name := range []string{"Accept", "Content-Type"} {
			if v := header.Draw(t, name); v != "" {
				req.Header.Set(name, v)
			}
		}
		ws, route, err := router.SelectRoute(all, req)
		wantWS, want, wantErr := usual.SelectRoute(all, req)
		if ws != wantWS || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%s %s: %v, %v; usually %v, %v", req.Method, path, ws, err, wantWS, wantErr)
		}
		if (route == nil) != (want == nil) || route != nil && route.String() != want.String() {
			t.Fatalf("%s %s: %v, usually %v", req.Method, path, route, want)
		}
		if service := serviceOf(all, path); service != nil && router.index(service).find(req) != nil {
			plain++
		}
	})
	if plain == 0 {
		t.Error("nothing was plain")
	}
}

// What clients ask for all the time does not take the long way.
func TestPlain(t *testing.T) {
	router := &Router{}
	for _, c := range []struct{ method, path, content, accept string }{
		{"GET", "/api/v1/namespaces/a/pods/b", "", "application/json, */*"},
		{"GET", "/api/v1/namespaces/a/pods/b/status", "", "application/json"},
		{"GET", "/api/v1/pods", "", ""},
		{"POST", "/api/v1/namespaces/a/pods", "application/json", "application/json"},
		{"PATCH", "/api/v1/namespaces/a/pods/b", "application/merge-patch+json", "application/json"},
		{"GET", "/apis/apps/v1/namespaces/a/deployments/b", "", "application/json"},
	} {
		req := httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody)
		req.Header.Set("Content-Type", c.content)
		req.Header.Set("Accept", c.accept)
		ws := serviceOf(services(), c.path)
		if ws == nil || router.index(ws).find(req) == nil {
			t.Errorf("%s %s is left to the usual router", c.method, c.path)
		}
	}
}

// A service that gets one more route answers for it.
func TestMoreRoutes(t *testing.T) {
	all, router := services(), &Router{}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/secrets", http.NoBody)
	if _, route, err := router.SelectRoute(all, req); err == nil {
		t.Fatalf("%v is there already", route)
	}
	ws := serviceOf(all, "/api/v1/secrets")
	ws.Route(ws.GET("/secrets").To(func(*restful.Request, *restful.Response) {}))
	if _, route, err := router.SelectRoute(all, req); err != nil || route.Path != "/api/v1/secrets" {
		t.Errorf("%v, %v", route, err)
	}
}
