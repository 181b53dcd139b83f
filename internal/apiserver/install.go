package apiserver

import (
	"fmt"
	"path"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	genericapi "k8s.io/apiserver/pkg/endpoints"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/util"

	"berth.dev/berth/internal/apiserver/fields"
)

// installer serves API groups as the library's InstallAPIGroups does, which
// cannot be told how objects are read for their managed fields.
type installer struct {
	server    *genericapiserver.GenericAPIServer
	config    *genericapiserver.Config
	converter managedfields.TypeConverter
}

func install(server *genericapiserver.GenericAPIServer, config *genericapiserver.Config, infos []*genericapiserver.APIGroupInfo) error {
	converter, err := converterFor(config, infos)
	if err != nil {
		return fmt.Errorf("apiserver: managed fields: %w", err)
	}
	i := installer{server: server, config: config, converter: converter}
	for _, info := range infos {
		if err := i.group(info); err != nil {
			return fmt.Errorf("apiserver: group %q: %w", info.PrioritizedVersions[0].Group, err)
		}
	}
	return nil
}

// converterFor knows all kinds that are served.
func converterFor(config *genericapiserver.Config, infos []*genericapiserver.APIGroupInfo) (managedfields.TypeConverter, error) {
	var names []string
	for _, info := range infos {
		for version, resources := range info.VersionedResourcesStorageMap {
			gv := schema.GroupVersion{Group: info.PrioritizedVersions[0].Group, Version: version}
			for _, storage := range resources {
				kind, err := genericapi.GetResourceKind(gv, storage, info.Scheme)
				if err != nil {
					return nil, err
				}
				sample, err := info.Scheme.New(kind)
				if err != nil {
					return nil, err
				}
				names = append(names, util.GetCanonicalTypeName(sample))
			}
		}
	}
	definitions, err := builder3.BuildOpenAPIDefinitionsForResources(config.OpenAPIV3Config, names...)
	if err != nil {
		return nil, err
	}
	return fields.Converter(definitions)
}

// group serves the versions of a group and says so in discovery.
func (i installer) group(info *genericapiserver.APIGroupInfo) error {
	name, served := info.PrioritizedVersions[0].Group, metav1.APIGroup{}
	for _, gv := range info.PrioritizedVersions {
		if len(info.VersionedResourcesStorageMap[gv.Version]) == 0 {
			continue
		}
		if err := i.version(info, gv); err != nil {
			return err
		}
		served.Versions = append(served.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version})
	}
	i.server.RegisterDestroyFunc(func() {
		eachStorage(info, func(_ schema.GroupVersionResource, s rest.Storage) { s.Destroy() })
	})
	eachStorage(info, func(at schema.GroupVersionResource, s rest.Storage) {
		if s, ok := s.(rest.StorageWithReadiness); ok {
			i.server.StorageReadinessHook.RegisterStorage(metav1.GroupVersionResource(at), s)
		}
	})
	container := i.server.Handler.GoRestfulContainer
	if name == "" {
		root := discovery.NewLegacyRootAPIHandler(i.config.DiscoveryAddresses, i.server.Serializer, genericapiserver.DefaultLegacyAPIPrefix)
		all := i.server.AggregatedLegacyDiscoveryGroupManager
		container.Add(aggregated.WrapAggregatedDiscoveryToHandler(root, all, all).
			GenerateWebService(genericapiserver.DefaultLegacyAPIPrefix, metav1.APIVersions{}))
		return nil
	}
	served.Name, served.PreferredVersion = name, served.Versions[0]
	i.server.DiscoveryGroupManager.AddGroup(served)
	container.Add(discovery.NewAPIGroupHandler(i.server.Serializer, served).WebService())
	return nil
}

func (i installer) version(info *genericapiserver.APIGroupInfo, gv schema.GroupVersion) error {
	root, known := genericapiserver.APIGroupPrefix, i.server.AggregatedDiscoveryGroupManager
	if gv.Group == "" {
		root, known = genericapiserver.DefaultLegacyAPIPrefix, i.server.AggregatedLegacyDiscoveryGroupManager
	}
	served := genericapi.APIGroupVersion{
		Storage: info.VersionedResourcesStorageMap[gv.Version], Root: root, GroupVersion: gv,
		AllServedVersionsByResource: versionsByResource(info),
		OptionsExternalVersion:      info.OptionsExternalVersion,
		MetaGroupVersion:            info.MetaGroupVersion,

		Serializer:            info.NegotiatedSerializer,
		ParameterCodec:        info.ParameterCodec,
		Typer:                 info.Scheme,
		Creater:               info.Scheme,
		Convertor:             info.Scheme,
		ConvertabilityChecker: info.Scheme,
		Defaulter:             info.Scheme,
		Namer:                 runtime.Namer(meta.NewAccessor()),
		UnsafeConvertor:       runtime.UnsafeObjectConvertor(info.Scheme),
		TypeConverter:         i.converter,

		EquivalentResourceRegistry: i.server.EquivalentResourceRegistry,
		Authorizer:                 i.server.Authorizer,
		Admit:                      i.config.AdmissionControl,
		MinRequestTimeout:          time.Duration(i.config.MinRequestTimeout) * time.Second,
		MaxRequestBodyBytes:        i.config.MaxRequestBodyBytes,
	}
	resources, _, err := served.InstallREST(i.server.Handler.GoRestfulContainer)
	if err != nil {
		return err
	}
	known.AddGroupVersion(gv.Group, apidiscoveryv2.APIVersionDiscovery{
		Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent, Version: gv.Version, Resources: resources,
	})
	return nil
}

// versionsByResource are the versions that serve a resource, with their group.
func versionsByResource(info *genericapiserver.APIGroupInfo) map[string][]string {
	out := map[string][]string{}
	eachStorage(info, func(at schema.GroupVersionResource, _ rest.Storage) {
		out[at.Resource] = append(out[at.Resource], path.Join(at.Group, at.Version))
	})
	return out
}

func eachStorage(info *genericapiserver.APIGroupInfo, do func(schema.GroupVersionResource, rest.Storage)) {
	for _, gv := range info.PrioritizedVersions {
		for resource, s := range info.VersionedResourcesStorageMap[gv.Version] {
			do(gv.WithResource(resource), s)
		}
	}
}
