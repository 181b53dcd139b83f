package apiserver

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/apiserver/aggregation"
)

type nobody struct{}

func (nobody) Documents() []aggregation.Document { return nil }

// TestDocumentsOnDemand builds a document for the first request for it, once,
// and not the other one.
func TestDocumentsOnDemand(t *testing.T) {
	var two, three atomic.Int32
	serve := func(count *atomic.Int32, path string) func(*mux.PathRecorderMux) error {
		return func(m *mux.PathRecorderMux) error {
			count.Add(1)
			m.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			return nil
		}
	}
	merge := func([]*apiextensionsv1.CustomResourceDefinition, []aggregation.Document) error {
		t.Error("there is nothing to merge")
		return nil
	}
	o := &openAPI{others: nobody{}, crds: listers.NewCustomResourceDefinitionLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil))}
	o.two.build, o.two.merge = serve(&two, "/openapi/v2"), merge
	o.three.build, o.three.merge = serve(&three, "/openapi/v3"), merge
	ask := func(path string) {
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusTeapot {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { ask("/openapi/v3") })
	}
	all.Wait()
	if two.Load() != 0 || three.Load() != 1 {
		t.Errorf("requests for v3 built v2 %d and v3 %d times", two.Load(), three.Load())
	}
	ask("/openapi/v2")
	ask("/openapi/v2")
	if two.Load() != 1 || three.Load() != 1 {
		t.Errorf("then v2 was built %d and v3 %d times", two.Load(), three.Load())
	}
}

// TestDefinitionsAreShared makes the definitions once for both servers that are
// built at a start, and forgets them afterwards.
func TestDefinitionsAreShared(t *testing.T) {
	s := &Server{}
	a, b := s.openAPIV3Config(), s.openAPIV3Config()
	if a == b || len(a.Definitions) == 0 || reflect.ValueOf(a.Definitions).Pointer() != reflect.ValueOf(b.Definitions).Pointer() {
		t.Error("each server makes definitions of its own, or has another's configuration")
	}
	s.forgetDefinitions()
	if a.Definitions != nil || b.Definitions != nil || s.schemas != nil {
		t.Error("the definitions stay in memory")
	}
}
