package api

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/validation"
)

func leaseKind() Kind {
	return Declare(Kind{
		GVK:                 coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		Resource:            "leases",
		Singular:            "lease",
		Namespaced:          true,
		Columns:             columns.Lease,
		New:                 func() runtime.Object { return &coordinationv1.Lease{} },
		NewList:             func() runtime.Object { return &coordinationv1.LeaseList{} },
		AllowCreateOnUpdate: true,
	}, Rules[*coordinationv1.Lease]{
		Validate:       check(validation.Lease),
		ValidateUpdate: checkUpdate(validation.LeaseUpdate),
		Row:            columns.LeaseRow,
	})
}
