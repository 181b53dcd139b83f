package apiserver

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"sort"
	"strings"
	"sync"

	restful "github.com/emicklei/go-restful/v3"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/aggregation"
	"berth.dev/berth/internal/openapi/documents"
)

// openAPI serves /openapi. Most servers never see a request for it, so each of
// the two versions is prepared by the first request for it, and custom resources
// are merged in when a request finds that their definitions have changed. A
// request is answered completely or not at all.
type openAPI struct {
	main *genericapiserver.GenericAPIServer
	ext  *genericapiserver.GenericAPIServer
	crds listers.CustomResourceDefinitionLister
	// others are remote servers, whose documents are merged in as well.
	others interface{ Documents() []aggregation.Document }
	// routes are those of both servers.
	routes func() *restful.Container

	two, three document

	// These are the documents' own.
	static *spec.Swagger
	v2     *handler.OpenAPIService
	v3     *documents.Service
	custom map[string]bool // group versions in v3 that are merged in
}

// document is one of the two.
type document struct {
	build func(*mux.PathRecorderMux) error
	merge func([]*apiextensionsv1.CustomResourceDefinition, []aggregation.Document) error

	mu     sync.Mutex
	paths  *mux.PathRecorderMux
	merged string // fingerprint of the definitions that are merged in
}

func newOpenAPI(main *genericapiserver.GenericAPIServer, crds *extensionsapiserver.CustomResourceDefinitions, others *aggregation.Aggregator) *openAPI {
	o := &openAPI{
		main:   main,
		ext:    crds.GenericAPIServer,
		others: others,
		crds:   crds.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister(),
	}
	o.routes = sync.OnceValue(o.allRoutes)
	o.two.build, o.two.merge = o.buildTwo, o.mergeTwo
	o.three.build, o.three.merge = o.buildThree, o.mergeThree
	return o
}

func (o *openAPI) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	d := &o.two
	if strings.HasPrefix(req.URL.Path, "/openapi/v3") {
		d = &o.three
	}
	if err := o.refresh(d); err != nil {
		http.Error(w, "building the OpenAPI document: "+err.Error(), http.StatusInternalServerError)
		return
	}
	d.paths.ServeHTTP(w, req)
}

func (o *openAPI) refresh(d *document) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		paths := mux.NewPathRecorderMux("openapi")
		if err := d.build(paths); err != nil {
			return err
		}
		d.paths, d.merged = paths, fingerprint(nil, nil)
	}
	crds, err := o.established()
	if err != nil {
		return err
	}
	others := o.others.Documents()
	if print := fingerprint(crds, others); print != d.merged {
		if err := d.merge(crds, others); err != nil {
			return err
		}
		d.merged = print
	}
	return nil
}

func (o *openAPI) allRoutes() *restful.Container {
	all := restful.NewContainer()
	for _, server := range []*genericapiserver.GenericAPIServer{o.main, o.ext} {
		for _, ws := range server.Handler.GoRestfulContainer.RegisteredWebServices() {
			if !registered(all, ws) {
				all.Add(ws)
			}
		}
	}
	return all
}

// registered says whether both servers offer the same path, such as /version.
func registered(c *restful.Container, ws *restful.WebService) bool {
	for _, have := range c.RegisteredWebServices() {
		if have.RootPath() == ws.RootPath() {
			return true
		}
	}
	return false
}

func (o *openAPI) established() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	all, err := o.crds.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, crd := range all {
		if apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) {
			out = append(out, crd)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func fingerprint(crds []*apiextensionsv1.CustomResourceDefinition, others []aggregation.Document) string {
	h := sha256.New()
	for _, crd := range crds {
		fmt.Fprintf(h, "%s/%s/%d\n", crd.Name, crd.UID, crd.Generation)
	}
	for _, other := range others {
		fmt.Fprintf(h, "%s %s\n", other.Path, other.Print)
	}
	return string(h.Sum(nil))
}

// eachServed calls f with each served version of custom kinds.
func eachServed(crds []*apiextensionsv1.CustomResourceDefinition, f func(*apiextensionsv1.CustomResourceDefinition, string) error) error {
	for _, crd := range crds {
		for _, v := range crd.Spec.Versions {
			if !v.Served {
				continue
			}
			if err := f(crd, v.Name); err != nil {
				return fmt.Errorf("%s: %w", crd.Name, err)
			}
		}
	}
	return nil
}

// definitionNamer names the schemas as upstream does, io.k8s.api.core.v1.Pod.
var definitionNamer = sync.OnceValue(func() *openapi.DefinitionNamer {
	external := runtime.NewScheme()
	for gvk, t := range api.Scheme.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal && !strings.HasSuffix(t.PkgPath(), "/internalversion") {
			external.AddKnownTypeWithName(gvk, reflect.New(t).Interface().(runtime.Object))
		}
	}
	return openapi.NewDefinitionNamer(external, extensionsapiserver.Scheme)
})
