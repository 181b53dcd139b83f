// Package spiderpool declares the kinds of spiderpool.spidernet.io, one file each.
package spiderpool

import (
	"berth.dev/berth/internal/api/kind"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Group is spiderpool.spidernet.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: spiderpoolv2beta1.SchemeGroupVersion, Add: spiderpoolv2beta1.AddToScheme}},
		Kinds: []kind.Kind{
			spiderIPPoolKind(),
			spiderEndpointKind(),
			spiderReservedIPKind(),
			spiderSubnetKind(),
			spiderMultusConfigKind(),
			spiderCoordinatorKind(),
		},
	}
}
