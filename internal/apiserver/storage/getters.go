package storage

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
)

// Typed gives the options of built-in resources, whose stored version Versions names.
type Typed struct {
	Backend  *Backend
	Codecs   serializer.CodecFactory
	Versions map[schema.GroupResource]schema.GroupVersion
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (t Typed) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	gv, ok := t.Versions[resource]
	if !ok {
		return generic.RESTOptions{}, fmt.Errorf("no stored version is declared for %s", resource)
	}
	return t.Backend.Options(resource, gv, example, t.Codecs)
}

// Custom gives the options of custom resources: JSON below their group.
type Custom struct{ Backend *Backend }

// GetRESTOptions implements generic.RESTOptionsGetter.
func (c Custom) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return c.Backend.options(resource, unstructured.UnstructuredJSONScheme, nil, resource.Group+"/"+resource.Resource), nil
}
