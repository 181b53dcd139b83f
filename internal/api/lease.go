package api

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func leaseKind() Kind {
	return Declare(Kind{
		GVK:                      coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		Resource:                 "leases",
		Singular:                 "lease",
		Namespaced:               true,
		New:                      func() runtime.Object { return &coordinationv1.Lease{} },
		NewList:                  func() runtime.Object { return &coordinationv1.LeaseList{} },
		AllowUnconditionalUpdate: false,
		Columns:                  nameAndAge,
	}, Rules[*coordinationv1.Lease]{
		Row: func(o *coordinationv1.Lease) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
