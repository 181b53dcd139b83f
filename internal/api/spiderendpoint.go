package api

import (
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func spiderEndpointKind() Kind {
	return Declare(Kind{
		GVK:                      spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderEndpoint"),
		Resource:                 "spiderendpoints",
		Singular:                 "spiderendpoint",
		ShortNames:               []string{"se"},
		Categories:               []string{"spiderpool"},
		Namespaced:               true,
		New:                      func() runtime.Object { return &spiderpoolv2beta1.SpiderEndpoint{} },
		NewList:                  func() runtime.Object { return &spiderpoolv2beta1.SpiderEndpointList{} },
		FieldNames:               []string{"status.current.node", "status.current.uid"},
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*spiderpoolv2beta1.SpiderEndpoint]{
		Fields: func(e *spiderpoolv2beta1.SpiderEndpoint) fields.Set {
			return fields.Set{"status.current.node": e.Status.Current.Node, "status.current.uid": e.Status.Current.UID}
		},
		Row: func(o *spiderpoolv2beta1.SpiderEndpoint) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
