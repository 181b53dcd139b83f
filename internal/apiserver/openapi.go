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
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/aggregation"
	generated "berth.dev/berth/internal/openapi"
)

// openAPI serves /openapi. Most servers never see a request for it, so the
// documents are built by the first one, and custom resources are merged in
// when a request finds that their definitions have changed. A request is
// answered completely or not at all.
type openAPI struct {
	main *genericapiserver.GenericAPIServer
	ext  *genericapiserver.GenericAPIServer
	crds listers.CustomResourceDefinitionLister
	// others are remote servers, whose documents are merged in as well.
	others interface{ Documents() []aggregation.Document }

	mu     sync.Mutex
	paths  *mux.PathRecorderMux
	static *spec.Swagger
	v2     *handler.OpenAPIService
	v3     *handler3.OpenAPIService
	merged string          // fingerprint of the definitions that are merged in
	custom map[string]bool // group versions in v3 that are merged in
}

func newOpenAPI(main *genericapiserver.GenericAPIServer, crds *extensionsapiserver.CustomResourceDefinitions, others *aggregation.Aggregator) *openAPI {
	return &openAPI{
		main:   main,
		ext:    crds.GenericAPIServer,
		others: others,
		crds:   crds.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister(),
	}
}

func (o *openAPI) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := o.refresh(); err != nil {
		http.Error(w, "building the OpenAPI document: "+err.Error(), http.StatusInternalServerError)
		return
	}
	o.paths.ServeHTTP(w, req)
}

func (o *openAPI) refresh() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.paths == nil {
		o.build()
	}
	crds, err := o.established()
	if err != nil {
		return err
	}
	others := o.others.Documents()
	if print := fingerprint(crds, others); print != o.merged {
		if err := o.merge(crds, others); err != nil {
			return err
		}
		o.merged = print
	}
	return nil
}

func (o *openAPI) build() {
	paths := mux.NewPathRecorderMux("openapi")
	all := restful.NewContainer()
	for _, server := range []*genericapiserver.GenericAPIServer{o.main, o.ext} {
		for _, ws := range server.Handler.GoRestfulContainer.RegisteredWebServices() {
			if !registered(all, ws) {
				all.Add(ws)
			}
		}
	}
	o.v2, o.static = routes.OpenAPI{Config: openAPIV2Config()}.InstallV2(all, paths)
	o.v3 = routes.OpenAPI{V3Config: openAPIV3Config()}.InstallV3(all, paths)
	o.paths, o.custom, o.merged = paths, map[string]bool{}, fingerprint(nil, nil)
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

// merge replaces what definitions and remote servers contributed before by
// what they say now.
func (o *openAPI) merge(crds []*apiextensionsv1.CustomResourceDefinition, others []aggregation.Document) error {
	var v2 []*spec.Swagger
	v3 := map[string][]*spec3.OpenAPI{}
	for _, crd := range crds {
		for _, v := range crd.Spec.Versions {
			if !v.Served {
				continue
			}
			one, err := builder.BuildOpenAPIV2(crd, v.Name, builder.Options{V2: true, IncludeSelectableFields: true})
			if err != nil {
				return fmt.Errorf("%s: %w", crd.Name, err)
			}
			one.Definitions = handler.PruneDefaults(one.Definitions)
			v2 = append(v2, one)
			three, err := builder.BuildOpenAPIV3(crd, v.Name, builder.Options{IncludeSelectableFields: true})
			if err != nil {
				return fmt.Errorf("%s: %w", crd.Name, err)
			}
			gv := "apis/" + crd.Spec.Group + "/" + v.Name
			v3[gv] = append(v3[gv], three)
		}
	}
	joined, err := builder.MergeSpecs(o.static, v2...)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.V2 != nil {
			if err := aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(joined, other.V2); err != nil {
				return fmt.Errorf("%s: %w", other.Path, err)
			}
		}
		if other.V3 != nil {
			v3[other.Path] = []*spec3.OpenAPI{other.V3}
		}
	}
	if err := o.v2.UpdateSpec(joined); err != nil {
		return err
	}
	for gv := range o.custom {
		if _, still := v3[gv]; !still {
			o.v3.DeleteGroupVersion(gv)
			delete(o.custom, gv)
		}
	}
	for gv, specs := range v3 {
		joined, err := builder.MergeSpecsV3(specs...)
		if err != nil {
			return err
		}
		o.v3.UpdateGroupVersion(gv, joined)
		o.custom[gv] = true
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

func openAPIV2Config() *common.Config {
	c := genericapiserver.DefaultOpenAPIConfig(generated.GetOpenAPIDefinitions, definitionNamer())
	c.Info.Title = "Kubernetes"
	c.Info.Version = newEffectiveVersion().Info().GitVersion
	return c
}

func openAPIV3Config() *common.OpenAPIV3Config {
	c := genericapiserver.DefaultOpenAPIV3Config(generated.GetOpenAPIDefinitions, definitionNamer())
	c.Info.Title = "Kubernetes"
	c.Info.Version = newEffectiveVersion().Info().GitVersion
	return c
}
