package api

import (
	"k8s.io/apimachinery/pkg/runtime"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func spiderIPPoolKind() Kind {
	return Declare(Kind{
		GVK:                      spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderIPPool"),
		Resource:                 "spiderippools",
		Singular:                 "spiderippool",
		ShortNames:               []string{"sp"},
		Categories:               []string{"spiderpool"},
		New:                      func() runtime.Object { return &spiderpoolv2beta1.SpiderIPPool{} },
		NewList:                  func() runtime.Object { return &spiderpoolv2beta1.SpiderIPPoolList{} },
		HasStatus:                true,
		HasGeneration:            true,
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*spiderpoolv2beta1.SpiderIPPool]{
		CopySpec: func(o, old *spiderpoolv2beta1.SpiderIPPool) {
			meta, status := o.ObjectMeta, o.Status
			*o = *old
			o.ObjectMeta, o.Status = meta, status
		},
		CopyStatus: func(o, old *spiderpoolv2beta1.SpiderIPPool) { o.Status = old.Status },
		Row:        func(o *spiderpoolv2beta1.SpiderIPPool) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
