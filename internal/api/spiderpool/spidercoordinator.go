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

func spiderCoordinatorKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderCoordinator"),
		Resource:      "spidercoordinators",
		Singular:      "spidercoordinator",
		ShortNames:    []string{"scc"},
		Categories:    []string{"spiderpool"},
		HasStatus:     true,
		HasGeneration: true,
		Columns:       columns.Definitions{columns.Name(), columns.Age()},
		New:           func() runtime.Object { return &spiderpoolv2beta1.SpiderCoordinator{} },
		NewList:       func() runtime.Object { return &spiderpoolv2beta1.SpiderCoordinatorList{} },
	}, kind.Rules[*spiderpoolv2beta1.SpiderCoordinator]{
		Default:        defaults.SpiderCoordinator,
		PrepareCreate:  func(_ context.Context, c *spiderpoolv2beta1.SpiderCoordinator) { guard(c) },
		PrepareUpdate:  func(_ context.Context, c, _ *spiderpoolv2beta1.SpiderCoordinator) { guard(c) },
		Validate:       kind.Check(validation.SpiderCoordinator),
		ValidateUpdate: kind.CheckUpdate(validation.SpiderCoordinatorUpdate),
		CopySpec:       func(c, old *spiderpoolv2beta1.SpiderCoordinator) { c.Spec = old.Spec },
		CopyStatus:     func(c, old *spiderpoolv2beta1.SpiderCoordinator) { c.Status = old.Status },
		Row: func(c *spiderpoolv2beta1.SpiderCoordinator) []any {
			return []any{c.Name, columns.Since(c.CreationTimestamp)}
		},
	})
}
