package apiserver

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"berth.dev/berth/internal/apiserver/aggregation"
	generated "berth.dev/berth/internal/openapi"
)

func (o *openAPI) buildTwo(paths *mux.PathRecorderMux) error {
	o.v2, o.static = routes.OpenAPI{Config: openAPIV2Config()}.InstallV2(o.routes(), paths)
	return nil
}

// mergeTwo replaces what definitions and remote servers contributed before by
// what they say now.
func (o *openAPI) mergeTwo(crds []*apiextensionsv1.CustomResourceDefinition, others []aggregation.Document) error {
	var all []*spec.Swagger
	err := eachServed(crds, func(crd *apiextensionsv1.CustomResourceDefinition, version string) error {
		one, err := builder.BuildOpenAPIV2(crd, version, builder.Options{V2: true, IncludeSelectableFields: true})
		if err == nil {
			one.Definitions = handler.PruneDefaults(one.Definitions)
			all = append(all, one)
		}
		return err
	})
	if err != nil {
		return err
	}
	joined, err := builder.MergeSpecs(o.static, all...)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.V2 == nil {
			continue
		}
		if err := aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(joined, other.V2); err != nil {
			return fmt.Errorf("%s: %w", other.Path, err)
		}
	}
	return o.v2.UpdateSpec(joined)
}

func openAPIV2Config() *common.Config {
	c := genericapiserver.DefaultOpenAPIConfig(generated.GetOpenAPIDefinitions, definitionNamer())
	c.Info.Title = "Kubernetes"
	c.Info.Version = newEffectiveVersion().Info().GitVersion
	return c
}
