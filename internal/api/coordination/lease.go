package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func leaseKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                 coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		Resource:            "leases",
		Singular:            "lease",
		Namespaced:          true,
		Columns:             columns.Lease,
		New:                 func() runtime.Object { return &coordinationv1.Lease{} },
		NewList:             func() runtime.Object { return &coordinationv1.LeaseList{} },
		AllowCreateOnUpdate: true,
	}, kind.Rules[*coordinationv1.Lease]{
		Validate:       kind.Check(validation.Lease),
		ValidateUpdate: kind.CheckUpdate(validation.LeaseUpdate),
		Row:            columns.LeaseRow,
	})
}
