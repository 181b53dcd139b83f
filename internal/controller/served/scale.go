package served

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
)

// Scales reads the scale subresource of any kind that has one.
type Scales struct {
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
	scales    scale.ScalesGetter
}

// NewScales returns the scales as the identity in config sees them.
func NewScales(config *rest.Config) (*Scales, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(d)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cached)
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d))
	if err != nil {
		return nil, err
	}
	return &Scales{discovery: cached, mapper: mapper, scales: scales}, nil
}

// Scale returns the scale of one object, nil when there is no such object.
func (s *Scales) Scale(ctx context.Context, apiVersion, kind string, key types.NamespacedName) (*autoscalingv1.Scale, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := s.mapper.RESTMapping(schema.GroupKind{Group: gv.Group, Kind: kind}, gv.Version)
	if meta.IsNoMatchError(err) { // it may be served since
		s.mapper.Reset()
		mapping, err = s.mapper.RESTMapping(schema.GroupKind{Group: gv.Group, Kind: kind}, gv.Version)
	}
	if err != nil {
		return nil, err
	}
	found, err := s.scales.Scales(key.Namespace).Get(ctx, mapping.Resource.GroupResource(), key.Name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return found, err
	}
	// Either the object does not exist, or its kind has no scale.
	list, err := s.discovery.ServerResourcesForGroupVersion(mapping.Resource.GroupVersion().String())
	if err != nil {
		return nil, err
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == mapping.Resource.Resource+"/scale" {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("%s does not implement the scale subresource", mapping.Resource.GroupResource())
}
