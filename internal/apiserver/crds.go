package apiserver

import (
	"net/url"

	"go.opentelemetry.io/otel/trace/noop"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericfilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/apiserver/pkg/util/webhook"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

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
			ServiceResolver:      clusterIPs{s.parts.Informers.Core().V1().Services().Lister()},
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, s.parts.Config, noop.NewTracerProvider()),
		},
	}
	unknown := notfoundhandler.New(generic.Serializer, genericfilters.NoMuxAndDiscoveryIncompleteKey)
	return c.Complete().New(genericapiserver.NewEmptyDelegateWithCustomHandler(unknown))
}

// clusterIPs finds conversion webhooks by their Service's address.
type clusterIPs struct{ services corelisters.ServiceLister }

// ResolveEndpoint implements webhook.ServiceResolver.
func (r clusterIPs) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	return proxy.ResolveCluster(r.services, namespace, name, port)
}

// publishCRDGroups keeps the groups of custom resources in the plain /apis
// document; the aggregated one is shared by both servers.
func (s *Server) publishCRDGroups() error {
	groups := crdGroups{manager: s.main.DiscoveryGroupManager, builtIn: map[string]bool{}}
	for _, k := range s.config.Kinds {
		groups.builtIn[k.GVK.Group] = true
	}
	groups.manager.AddGroup(groupOf(apiextensionsv1.GroupName, apiextensionsv1.SchemeGroupVersion.Version))
	groups.builtIn[apiextensionsv1.GroupName] = true
	crds := s.crds.Informers.Apiextensions().V1().CustomResourceDefinitions()
	groups.lister = crds.Lister()
	_, err := crds.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { groups.refresh(obj) },
		UpdateFunc: func(_, obj any) { groups.refresh(obj) },
		DeleteFunc: func(obj any) { groups.refresh(obj) },
	})
	return err
}

func groupOf(name string, versions ...string) metav1.APIGroup {
	g := metav1.APIGroup{Name: name}
	for _, v := range versions {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	g.PreferredVersion = g.Versions[0]
	return g
}
