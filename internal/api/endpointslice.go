package api

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func endpointSliceKind() Kind {
	return Declare(Kind{
		GVK:                      discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
		Resource:                 "endpointslices",
		Singular:                 "endpointslice",
		Namespaced:               true,
		New:                      func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		NewList:                  func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*discoveryv1.EndpointSlice]{
		Default: defaults.EndpointSlice,
		Row:     func(o *discoveryv1.EndpointSlice) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
