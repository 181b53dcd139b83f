package spiderpool

import (
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func spiderMultusConfigKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderMultusConfig"),
		Resource:      "spidermultusconfigs",
		Singular:      "spidermultusconfig",
		ShortNames:    []string{"smc"},
		Categories:    []string{"spiderpool"},
		Namespaced:    true,
		HasGeneration: true,
		Columns:       columns.Definitions{columns.Name(), columns.Age()},
		New:           func() runtime.Object { return &spiderpoolv2beta1.SpiderMultusConfig{} },
		NewList:       func() runtime.Object { return &spiderpoolv2beta1.SpiderMultusConfigList{} },
	}, kind.Rules[*spiderpoolv2beta1.SpiderMultusConfig]{
		Default:        defaults.SpiderMultusConfig,
		Validate:       kind.Check(validation.SpiderMultusConfig),
		ValidateUpdate: kind.CheckUpdate(validation.SpiderMultusConfigUpdate),
		CopySpec:       func(c, old *spiderpoolv2beta1.SpiderMultusConfig) { c.Spec = old.Spec },
		Row: func(c *spiderpoolv2beta1.SpiderMultusConfig) []any {
			return []any{c.Name, columns.Since(c.CreationTimestamp)}
		},
	})
}
