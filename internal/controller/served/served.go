// Package served knows what the API server serves right now, custom kinds
// included, for the loops that must treat every kind alike: emptying a
// namespace and asking for the owner of an object.
package served

import (
	"context"
	"errors"

	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Content is what namespaces can hold, found out anew each time.
type Content struct {
	discovery discovery.DiscoveryInterface
	metadata  metadata.Interface
}

// NewContent returns the content as the identity in config sees it.
func NewContent(config *rest.Config) (*Content, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	m, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Content{discovery: d, metadata: m}, nil
}

// Kinds implements namespace.Content.
func (c *Content) Kinds(context.Context) ([]metav1.APIResource, error) {
	lists, err := c.discovery.ServerPreferredNamespacedResources()
	var kinds []metav1.APIResource
	for _, list := range lists {
		gv, parseErr := schema.ParseGroupVersion(list.GroupVersion)
		if parseErr != nil {
			err = errors.Join(err, parseErr)
			continue
		}
		for _, r := range list.APIResources {
			r.Group, r.Version = gv.Group, gv.Version
			kinds = append(kinds, r)
		}
	}
	return kinds, err
}

// List implements namespace.Content.
func (c *Content) List(ctx context.Context, kind metav1.APIResource, namespace string) ([]metav1.PartialObjectMetadata, error) {
	list, err := c.metadata.Resource(gvr(kind)).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Delete implements namespace.Content.
func (c *Content) Delete(ctx context.Context, kind metav1.APIResource, namespace, name string, uid types.UID) error {
	background := metav1.DeletePropagationBackground
	return c.metadata.Resource(gvr(kind)).Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background,
	})
}

func gvr(kind metav1.APIResource) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: kind.Name}
}

// Owners asks for owners of any kind.
type Owners struct {
	mapper      *restmapper.DeferredDiscoveryRESTMapper
	metadata    metadata.Interface
	definitions apiextensionsclient.CustomResourceDefinitionsGetter
}

// NewOwners returns the owners as the identity in config sees them.
func NewOwners(config *rest.Config) (*Owners, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	m, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c, err := apiextensionsclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	return &Owners{mapper: mapper, metadata: m, definitions: c}, nil
}

// Owner implements reap.Foreign.
func (o *Owners) Owner(ctx context.Context, apiVersion, kind string, key types.NamespacedName) (metav1.Object, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := o.mapping(schema.GroupKind{Group: gv.Group, Kind: kind}, gv.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return o.metadata.Resource(mapping.Resource).Get(ctx, key.Name, metav1.GetOptions{})
	}
	if key.Namespace == "" {
		return nil, &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: gv.Group, Kind: kind}}
	}
	return o.metadata.Resource(mapping.Resource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
}

// mapping looks again at what is served before it says that a kind is not.
func (o *Owners) mapping(gk schema.GroupKind, version string) (*meta.RESTMapping, error) {
	mapping, err := o.mapper.RESTMapping(gk, version)
	if meta.IsNoMatchError(err) {
		o.mapper.Reset()
		mapping, err = o.mapper.RESTMapping(gk, version)
	}
	return mapping, err
}
