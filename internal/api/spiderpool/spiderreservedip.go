package spiderpool

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func spiderReservedIPKind() kind.Kind {
	tidy := func(r *spiderpoolv2beta1.SpiderReservedIP) { r.Spec.IPs = merged(r.Spec.IPs) }
	return kind.Declare(kind.Kind{
		GVK:           spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderReservedIP"),
		Resource:      "spiderreservedips",
		Singular:      "spiderreservedip",
		ShortNames:    []string{"sr"},
		Categories:    []string{"spiderpool"},
		HasGeneration: true,
		Columns:       columns.SpiderReservedIP,
		New:           func() runtime.Object { return &spiderpoolv2beta1.SpiderReservedIP{} },
		NewList:       func() runtime.Object { return &spiderpoolv2beta1.SpiderReservedIPList{} },
	}, kind.Rules[*spiderpoolv2beta1.SpiderReservedIP]{
		Default:        defaults.SpiderReservedIP,
		PrepareCreate:  func(_ context.Context, r *spiderpoolv2beta1.SpiderReservedIP) { tidy(r) },
		PrepareUpdate:  func(_ context.Context, r, _ *spiderpoolv2beta1.SpiderReservedIP) { tidy(r) },
		Validate:       kind.Check(validation.SpiderReservedIP),
		ValidateUpdate: kind.CheckUpdate(validation.SpiderReservedIPUpdate),
		CopySpec:       func(r, old *spiderpoolv2beta1.SpiderReservedIP) { r.Spec = old.Spec },
		Row:            columns.SpiderReservedIPRow,
	})
}
