package behaviour

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const aggregated = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

func TestAggregatedDiscovery(t *testing.T) {
	w := start(t)
	for path, group := range map[string]string{"/api": "", "/apis": "apps"} {
		a := w.get(path, aggregated)
		if a.code != http.StatusOK || a.header.Get("Content-Type") != "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" || a.header.Get("Vary") == "" {
			t.Errorf("%s: %d %v", path, a.code, a.header)
		}
		list := into[apidiscoveryv2.APIGroupDiscoveryList](t, a)
		if !slices.ContainsFunc(list.Items, func(g apidiscoveryv2.APIGroupDiscovery) bool {
			return g.Name == group && len(g.Versions) > 0 && len(g.Versions[0].Resources) > 0
		}) {
			t.Errorf("%s lacks group %q", path, group)
		}
		etag := a.header.Get("ETag")
		if etag == "" {
			t.Errorf("%s has no ETag", path)
		}
		if again := w.get(path, aggregated, "If-None-Match: "+etag); again.code != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: %d %s for what is known", path, again.code, again.body)
		}
	}
	// Older and plain forms.
	if a := w.get("/apis", "Accept: application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"); a.code != http.StatusOK {
		t.Errorf("v2beta1: %d", a.code)
	}
	before := w.get("/apis", aggregated).header.Get("ETag")
	w.must(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets)
	found := func() *apidiscoveryv2.APIGroupDiscovery {
		list := into[apidiscoveryv2.APIGroupDiscoveryList](t, w.get("/apis", aggregated))
		for i, g := range list.Items {
			if g.Name == "example.com" {
				return &list.Items[i]
			}
		}
		return nil
	}
	for end := time.Now().Add(time.Minute); found() == nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	g := found()
	if g == nil {
		t.Fatal("a definition does not show")
	}
	r := g.Versions[0].Resources[0]
	if r.Resource != "widgets" || r.SingularResource != "widget" || r.Scope != apidiscoveryv2.ScopeNamespace || !slices.Equal(r.ShortNames, []string{"wd"}) || !slices.Equal(r.Categories, []string{"all"}) || len(r.Subresources) != 2 {
		t.Errorf("got %+v", r)
	}
	if now := w.get("/apis", aggregated).header.Get("ETag"); now == before {
		t.Error("the ETag is still the same")
	}
}

func TestPlainDiscovery(t *testing.T) {
	w := start(t)
	if v := into[metav1.APIVersions](t, w.get("/api")); v.Kind != "APIVersions" || !slices.Equal(v.Versions, []string{"v1"}) || len(v.ServerAddressByClientCIDRs) != 1 {
		t.Errorf("/api: %+v", v)
	}
	groups := into[metav1.APIGroupList](t, w.get("/apis"))
	var have []string
	for _, g := range groups.Groups {
		have = append(have, g.Name)
		if g.PreferredVersion.Version == "" || len(g.Versions) == 0 {
			t.Errorf("%+v", g)
		}
	}
	for _, want := range []string{"apps", "rbac.authorization.k8s.io", "apiextensions.k8s.io", "storage.k8s.io"} {
		if !slices.Contains(have, want) {
			t.Errorf("no group %s in %v", want, have)
		}
	}
	if g := into[metav1.APIGroup](t, w.get("/apis/apps")); g.Kind != "APIGroup" || g.Name != "apps" {
		t.Errorf("/apis/apps: %+v", g)
	}
	list := into[metav1.APIResourceList](t, w.get("/api/v1"))
	pods := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "pods" })
	if list.GroupVersion != "v1" || pods < 0 {
		t.Fatalf("/api/v1: %+v", list)
	}
	p := list.APIResources[pods]
	if p.Kind != "Pod" || !p.Namespaced || p.SingularName != "pod" || !slices.Equal(p.ShortNames, []string{"po"}) || !slices.Contains(p.Categories, "all") || p.StorageVersionHash == "" ||
		!slices.Equal([]string(p.Verbs), []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}) {
		t.Errorf("pods: %+v", p)
	}
	paths := into[metav1.RootPaths](t, w.get("/"))
	for _, want := range []string{"/api", "/api/v1", "/apis", "/apis/", "/apis/apps", "/apis/apps/v1", "/healthz", "/healthz/etcd", "/livez", "/readyz", "/readyz/etcd", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/version"} {
		if !slices.Contains(paths.Paths, want) {
			t.Errorf("/ lacks %s", want)
		}
	}
	if strings.Join(paths.Paths, " ") != strings.Join(slices.Sorted(slices.Values(paths.Paths)), " ") {
		t.Errorf("/ is not sorted: %v", paths.Paths)
	}
}

func TestOpenAPI(t *testing.T) {
	w := start(t)
	index := w.get("/openapi/v3")
	type document struct {
		Paths map[string]struct {
			ServerRelativeURL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	url := into[document](t, index).Paths["apis/apps/v1"].ServerRelativeURL
	if !strings.Contains(url, "?hash=") {
		t.Fatalf("apis/apps/v1 is at %q", url)
	}
	a := w.get(url)
	if a.code != http.StatusOK || a.header.Get("ETag") == "" || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %v", url, a.code, a.header)
	}
	if again := w.get(url, "If-None-Match: "+a.header.Get("ETag")); again.code != http.StatusNotModified {
		t.Errorf("%s again: %d", url, again.code)
	}
	if a = w.get("/openapi/v2", "Accept: application/com.github.proto-openapi.spec.v2@v1.0+protobuf"); a.code != http.StatusOK || !strings.Contains(a.header.Get("Content-Type"), "proto-openapi") {
		t.Errorf("/openapi/v2 in protobuf: %d %v", a.code, a.header)
	}
	if etag := a.header.Get("ETag"); w.get("/openapi/v2", "Accept: application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "If-None-Match: "+etag).code != http.StatusNotModified {
		t.Error("/openapi/v2 again is not 304")
	}
	if a = w.get("/openapi/v2", "Accept: text/html"); a.code != http.StatusNotAcceptable {
		t.Errorf("/openapi/v2 as HTML: %d %s", a.code, a.body)
	}
	w.must(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets)
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && !strings.Contains(w.get("/openapi/v3").body, "apis/example.com/v1"); time.Sleep(20 * time.Millisecond) {
	}
	if a = w.get("/openapi/v3/apis/example.com/v1"); !strings.Contains(a.body, "com.example.v1.Widget") {
		t.Errorf("v3 of a definition: %d %.200s", a.code, a.body)
	}
	if a = w.get("/openapi/v2"); !strings.Contains(a.body, "com.example.v1.Widget") {
		t.Errorf("v2 lacks the definition: %d", a.code)
	}
	w.must(http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com", "")
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && strings.Contains(w.get("/openapi/v3").body, "apis/example.com/v1"); time.Sleep(20 * time.Millisecond) {
	}
	if strings.Contains(w.get("/openapi/v2").body, "com.example.v1.Widget") || strings.Contains(w.get("/openapi/v3").body, "example.com") {
		t.Error("a deleted definition is still described")
	}
}
