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

func spiderSubnetKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderSubnet"),
		Resource:      "spidersubnets",
		Singular:      "spidersubnet",
		ShortNames:    []string{"ss"},
		Categories:    []string{"spiderpool"},
		HasStatus:     true,
		HasGeneration: true,
		Columns:       columns.SpiderSubnet,
		New:           func() runtime.Object { return &spiderpoolv2beta1.SpiderSubnet{} },
		NewList:       func() runtime.Object { return &spiderpoolv2beta1.SpiderSubnetList{} },
	}, kind.Rules[*spiderpoolv2beta1.SpiderSubnet]{
		Default:        defaults.SpiderSubnet,
		PrepareCreate:  func(_ context.Context, s *spiderpoolv2beta1.SpiderSubnet) { tidySubnet(s) },
		PrepareUpdate:  func(_ context.Context, s, _ *spiderpoolv2beta1.SpiderSubnet) { tidySubnet(s) },
		Validate:       kind.Check(validation.SpiderSubnet),
		ValidateUpdate: kind.CheckUpdate(validation.SpiderSubnetUpdate),
		CopySpec:       func(s, old *spiderpoolv2beta1.SpiderSubnet) { s.Spec = old.Spec },
		CopyStatus:     func(s, old *spiderpoolv2beta1.SpiderSubnet) { s.Status = old.Status },
		Row:            columns.SpiderSubnetRow,
	})
}

func tidySubnet(s *spiderpoolv2beta1.SpiderSubnet) {
	guard(s)
	s.Spec.IPs, s.Spec.ExcludeIPs = merged(s.Spec.IPs), merged(s.Spec.ExcludeIPs)
	label(s, "ipam.spidernet.io/subnet-cidr", s.Spec.Subnet)
}
