package apiserver

import (
	"encoding/json"
	"fmt"
	"sync"
	"weak"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/spec3"

	"berth.dev/berth/internal/apiserver/aggregation"
	generated "berth.dev/berth/internal/openapi"
	"berth.dev/berth/internal/openapi/documents"
)

// buildThree takes the documents of built-in kinds as they were made before the build.
func (o *openAPI) buildThree(paths *mux.PathRecorderMux) (err error) {
	if o.v3, err = documents.New(newEffectiveVersion().Info().GitVersion); err != nil {
		return err
	}
	o.custom = map[string]bool{}
	paths.Handle(documents.Path, o.v3)
	paths.HandlePrefix(documents.Path+"/", o.v3)
	return nil
}

// mergeThree is mergeTwo for the other document.
func (o *openAPI) mergeThree(crds []*apiextensionsv1.CustomResourceDefinition, others []aggregation.Document) error {
	all := map[string][]*spec3.OpenAPI{}
	err := eachServed(crds, func(crd *apiextensionsv1.CustomResourceDefinition, version string) error {
		one, err := builder.BuildOpenAPIV3(crd, version, builder.Options{IncludeSelectableFields: true})
		gv := "apis/" + crd.Spec.Group + "/" + version
		all[gv] = append(all[gv], one)
		return err
	})
	if err != nil {
		return err
	}
	for _, other := range others {
		// A server may take over a group version that is served here as well:
		// what is said about it here stays.
		if other.V3 != nil && (o.custom[other.Path] || !o.v3.Knows(other.Path)) {
			all[other.Path] = []*spec3.OpenAPI{other.V3}
		}
	}
	for gv := range o.custom {
		if _, still := all[gv]; !still {
			o.v3.Delete(gv)
			delete(o.custom, gv)
		}
	}
	for gv, specs := range all {
		joined, err := builder.MergeSpecsV3(specs...)
		if err != nil {
			return err
		}
		text, err := json.Marshal(joined)
		if err != nil {
			return fmt.Errorf("%s: %w", gv, err)
		}
		o.v3.Put(gv, text)
		o.custom[gv] = true
	}
	return nil
}

// openAPIV3Config is a configuration of its own for one of the two servers. The
// definitions are the same for all, as making them takes a while.
func (s *Server) openAPIV3Config() *common.OpenAPIV3Config {
	if s.schemas == nil {
		s.schemas = sharedV3Config()
	}
	c := *s.schemas
	s.v3Configs = append(s.v3Configs, &c)
	return &c
}

// forgetDefinitions gives back what only the start of a server needs: 6 MB. The
// library makes them again if it should need them later.
func (s *Server) forgetDefinitions() {
	for _, c := range s.v3Configs {
		c.Definitions = nil
	}
	s.schemas, s.v3Configs = nil, nil
}

// lastV3Config is there while a server starts with it.
var lastV3Config struct {
	sync.Mutex
	weak.Pointer[common.OpenAPIV3Config]
}

func sharedV3Config() *common.OpenAPIV3Config {
	lastV3Config.Lock()
	defer lastV3Config.Unlock()
	if c := lastV3Config.Value(); c != nil {
		return c
	}
	c := genericapiserver.DefaultOpenAPIV3Config(generated.GetOpenAPIDefinitions, definitionNamer())
	c.Info.Title = "Kubernetes"
	c.Info.Version = newEffectiveVersion().Info().GitVersion
	lastV3Config.Pointer = weak.Make(c)
	return c
}
