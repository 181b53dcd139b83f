package documents

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/handler3"
)

func start(t *testing.T, version string) *Service {
	t.Helper()
	s, err := New(version)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a GET with headers given as "Name: value".
func ask(s *Service, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func index(t *testing.T, s *Service) map[string]string {
	t.Helper()
	w := ask(s, Path)
	var all handler3.OpenAPIV3Discovery
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		t.Fatalf("%d %v", w.Code, err)
	}
	urls := map[string]string{}
	for of, doc := range all.Paths {
		urls[of] = doc.ServerRelativeURL
	}
	return urls
}

func TestBuiltin(t *testing.T) {
	s := start(t, "v1.2.3")
	url := index(t, s)["apis/apps/v1"]
	w := ask(s, url)
	var doc struct {
		Info  struct{ Version string }
		Paths map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatalf("%s: %d %v", url, w.Code, err)
	}
	if doc.Info.Version != "v1.2.3" || doc.Paths["/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"] == nil {
		t.Errorf("version %q, paths %d", doc.Info.Version, len(doc.Paths))
	}
	if other := index(t, start(t, "v1.2.4"))["apis/apps/v1"]; other == url {
		t.Error("another version has the same URL, so clients would keep the old document")
	}
}

// What clients may keep for ever is named with its content.
func TestKept(t *testing.T) {
	s := start(t, "v1.2.3")
	url := index(t, s)["api/v1"]
	w := ask(s, url)
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "public, immutable" || w.Header().Get("Expires") == "" || w.Header().Get("Vary") != "Accept" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if again := ask(s, url, "If-None-Match: "+w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("unchanged: %d", again.Code)
	}
	if old := ask(s, Path+"/api/v1?hash=OLD"); old.Code != http.StatusMovedPermanently || old.Header().Get("Location") != url {
		t.Errorf("with an old hash: %d %v", old.Code, old.Header())
	}
	if plain := ask(s, Path+"/api/v1"); plain.Code != http.StatusOK || plain.Header().Get("Cache-Control") != "" {
		t.Errorf("without a hash: %d %v", plain.Code, plain.Header())
	}
}

func TestContentTypes(t *testing.T) {
	s := start(t, "v1.2.3")
	for accept, want := range map[string]string{
		"": typeJSON, "*/*": typeJSON, "application/*": typeJSON, typeJSON: typeJSON, "text/html, " + typeJSON + ";q=0.5": typeJSON,
		typeProto: typeProto, typeProtoOld: typeProto, typeProtoOld + ", " + typeJSON: typeProto,
	} {
		w := ask(s, Path+"/apis/policy/v1", "Accept: "+accept)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want {
			t.Errorf("Accept %q: %d %v, want %s", accept, w.Code, w.Header(), want)
		}
		body := ask(s, Path+"/apis/policy/v1", "Accept: "+typeJSON).Body.Bytes()
		if want == typeProto {
			var err error
			if body, err = handler3.ToV3ProtoBinary(body); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(w.Body.Bytes(), body) {
			t.Errorf("Accept %q: another document", accept)
		}
	}
	if w := ask(s, Path+"/apis/policy/v1", "Accept: text/html"); w.Code != http.StatusNotAcceptable {
		t.Errorf("as HTML: %d", w.Code)
	}
	if w := ask(s, Path+"/apis/nobody/v1"); w.Code != http.StatusNotFound {
		t.Errorf("unknown: %d", w.Code)
	}
}

func TestPutAndDelete(t *testing.T) {
	s := start(t, "v1.2.3")
	before := index(t, s)
	const of = "apis/example.com/v1"
	s.Put(of, []byte(`{"openapi":"3.0.0","info":{"title":"one","version":"1"},"paths":{}}`))
	one := index(t, s)[of]
	s.Put(of, []byte(`{"openapi":"3.0.0","info":{"title":"two","version":"1"},"paths":{}}`))
	two := index(t, s)[of]
	if one == "" || one == two {
		t.Errorf("at %q, then at %q", one, two)
	}
	if w := ask(s, two); !strings.Contains(w.Body.String(), `"two"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.Delete(of)
	if after := index(t, s); len(after) != len(before) || after[of] != "" {
		t.Errorf("%d documents, before %d", len(after), len(before))
	}
}
