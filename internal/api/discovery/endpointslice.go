package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func endpointSliceKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
		Resource:                 "endpointslices",
		Singular:                 "endpointslice",
		Namespaced:               true,
		HasGeneration:            true,
		Columns:                  columns.EndpointSlice,
		New:                      func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		NewList:                  func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*discoveryv1.EndpointSlice]{
		Default:        defaults.EndpointSlice,
		Validate:       kind.Check(validation.EndpointSlice),
		ValidateUpdate: kind.CheckUpdate(validation.EndpointSliceUpdate),
		CopySpec: func(e, old *discoveryv1.EndpointSlice) {
			e.AddressType, e.Endpoints, e.Ports = old.AddressType, old.Endpoints, old.Ports
		},
		Row: columns.EndpointSliceRow,
	})
}
