package spiderpool

import (
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func spiderEndpointKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderEndpoint"),
		Resource:      "spiderendpoints",
		Singular:      "spiderendpoint",
		ShortNames:    []string{"se"},
		Categories:    []string{"spiderpool"},
		Namespaced:    true,
		HasGeneration: true,
		FieldNames:    []string{"status.current.node", "status.current.uid"},
		Columns:       columns.SpiderEndpoint,
		New:           func() runtime.Object { return &spiderpoolv2beta1.SpiderEndpoint{} },
		NewList:       func() runtime.Object { return &spiderpoolv2beta1.SpiderEndpointList{} },
	}, kind.Rules[*spiderpoolv2beta1.SpiderEndpoint]{
		Validate:       kind.Check(validation.SpiderEndpoint),
		ValidateUpdate: kind.CheckUpdate(validation.SpiderEndpointUpdate),
		CopySpec:       func(e, old *spiderpoolv2beta1.SpiderEndpoint) { e.Status = old.Status },
		Fields: func(e *spiderpoolv2beta1.SpiderEndpoint) fields.Set {
			return fields.Set{"status.current.node": e.Status.Current.Node, "status.current.uid": e.Status.Current.UID}
		},
		Row: columns.SpiderEndpointRow,
	})
}
