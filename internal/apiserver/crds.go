package apiserver

import (
	"net/url"

	"go.opentelemetry.io/otel/trace/noop"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericfilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/apiserver/pkg/util/webhook"
	corelisters "k8s.io/client-go/listers/core/v1"

	"berth.dev/berth/internal/apiserver/storage"
)

// newCRDs builds the server of custom resource definitions, the last in the
// chain: what it does not know is not found.
func (s *Server) newCRDs(sec *security) (*extensionsapiserver.CustomResourceDefinitions, error) {
	generic, err := s.genericConfig(extensionsapiserver.Codecs, sec)
	if err != nil {
		return nil, err
	}
	generic.MergedResourceConfig = extensionsapiserver.DefaultAPIResourceConfigSource()
	generic.RESTOptionsGetter = storage.Typed{
		Backend: s.backend,
		Codecs:  extensionsapiserver.Codecs,
		Versions: map[schema.GroupResource]schema.GroupVersion{
			apiextensionsv1.Resource("customresourcedefinitions"): apiextensionsv1.SchemeGroupVersion,
		},
	}
	c := &extensionsapiserver.Config{
		GenericConfig: generic,
		ExtraConfig: extensionsapiserver.ExtraConfig{
			CRDRESTOptionsGetter: storage.Custom{Backend: s.backend},
			MasterCount:          1,
			ServiceResolver:      s.parts.Services,
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, s.parts.Config, noop.NewTracerProvider()),
		},
	}
	unknown := notfoundhandler.New(generic.Serializer, genericfilters.NoMuxAndDiscoveryIncompleteKey)
	return c.Complete().New(genericapiserver.NewEmptyDelegateWithCustomHandler(unknown))
}

// clusterIPs finds webhooks by their Service's address.
type clusterIPs struct{ services corelisters.ServiceLister }

// ResolveEndpoint implements webhook.ServiceResolver.
func (r clusterIPs) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	return proxy.ResolveCluster(r.services, namespace, name, port)
}
