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

func spiderIPPoolKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderIPPool"),
		Resource:      "spiderippools",
		Singular:      "spiderippool",
		ShortNames:    []string{"sp"},
		Categories:    []string{"spiderpool"},
		HasStatus:     true,
		HasGeneration: true,
		Columns:       columns.SpiderIPPool,
		New:           func() runtime.Object { return &spiderpoolv2beta1.SpiderIPPool{} },
		NewList:       func() runtime.Object { return &spiderpoolv2beta1.SpiderIPPoolList{} },
	}, kind.Rules[*spiderpoolv2beta1.SpiderIPPool]{
		Default:        defaults.SpiderIPPool,
		PrepareCreate:  func(_ context.Context, p *spiderpoolv2beta1.SpiderIPPool) { tidyPool(p) },
		PrepareUpdate:  func(_ context.Context, p, _ *spiderpoolv2beta1.SpiderIPPool) { tidyPool(p) },
		Validate:       kind.Check(validation.SpiderIPPool),
		ValidateUpdate: kind.CheckUpdate(validation.SpiderIPPoolUpdate),
		CopySpec:       func(p, old *spiderpoolv2beta1.SpiderIPPool) { p.Spec = old.Spec },
		CopyStatus:     func(p, old *spiderpoolv2beta1.SpiderIPPool) { p.Status = old.Status },
		Row:            columns.SpiderIPPoolRow,
	})
}

func tidyPool(p *spiderpoolv2beta1.SpiderIPPool) {
	guard(p)
	p.Spec.IPs, p.Spec.ExcludeIPs = merged(p.Spec.IPs), merged(p.Spec.ExcludeIPs)
	label(p, "ipam.spidernet.io/ippool-cidr", p.Spec.Subnet)
}
