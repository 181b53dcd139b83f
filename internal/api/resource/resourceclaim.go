package resource

import (
	"context"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func resourceClaimKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      resourcev1.SchemeGroupVersion.WithKind("ResourceClaim"),
		Resource:                 "resourceclaims",
		Singular:                 "resourceclaim",
		Namespaced:               true,
		HasStatus:                true,
		StatusKeeps:              []string{"metadata"},
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &resourcev1.ResourceClaim{} },
		NewList:                  func() runtime.Object { return &resourcev1.ResourceClaimList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("State", "string", "A summary of the current state (allocated, pending, reserved, etc.)."),
			columns.Age(),
		},
	}, kind.Rules[*resourcev1.ResourceClaim]{
		Default:       func(r *resourcev1.ResourceClaim) { defaultClaim(&r.Spec) },
		PrepareCreate: func(_ context.Context, r *resourcev1.ResourceClaim) { dropGated(&r.Spec) },
		PrepareUpdate: func(_ context.Context, r, _ *resourcev1.ResourceClaim) { dropGated(&r.Spec) },
		Validate: func(ctx context.Context, r *resourcev1.ResourceClaim) field.ErrorList {
			c := &check{ctx: ctx}
			c.Meta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
			c.claim(specPath.Child("devices"), &r.Spec.Devices)
			return c.List()
		},
		ValidateUpdate: kind.CheckUpdate(validateClaimUpdate),
		ValidateStatusUpdate: func(ctx context.Context, r, old *resourcev1.ResourceClaim) field.ErrorList {
			c := &check{ctx: ctx}
			c.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
			c.claimStatus(r, old)
			return c.List()
		},
		CopySpec:   func(r, old *resourcev1.ResourceClaim) { r.Spec = old.Spec },
		CopyStatus: func(r, old *resourcev1.ResourceClaim) { r.Status = old.Status },
		Row: func(r *resourcev1.ResourceClaim) []any {
			return []any{r.Name, state(r), columns.Since(r.CreationTimestamp)}
		},
	})
}

func validateClaimUpdate(r, old *resourcev1.ResourceClaim) field.ErrorList {
	var f validation.Findings
	f.Meta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	f.Fixed(specPath, r.Spec, old.Spec)
	return f.List()
}

func state(r *resourcev1.ResourceClaim) string {
	var out []string
	if r.DeletionTimestamp != nil {
		out = append(out, "deleted")
	}
	switch {
	case r.Status.Allocation == nil && r.DeletionTimestamp == nil:
		out = append(out, "pending")
	case r.Status.Allocation != nil:
		out = append(out, "allocated")
		if len(r.Status.ReservedFor) > 0 {
			out = append(out, "reserved")
		}
	}
	return strings.Join(out, ",")
}

func defaultClaim(s *resourcev1.ResourceClaimSpec) {
	for i := range s.Devices.Requests {
		r := &s.Devices.Requests[i]
		if e := r.Exactly; e != nil {
			defaultRequest(&e.AllocationMode, &e.Count, e.Tolerations)
		}
		for j := range r.FirstAvailable {
			sub := &r.FirstAvailable[j]
			defaultRequest(&sub.AllocationMode, &sub.Count, sub.Tolerations)
		}
	}
}

func defaultRequest(mode *resourcev1.DeviceAllocationMode, count *int64, tolerations []resourcev1.DeviceToleration) {
	if *mode == "" {
		*mode = resourcev1.DeviceAllocationModeExactCount
	}
	if *mode == resourcev1.DeviceAllocationModeExactCount && *count == 0 {
		*count = 1
	}
	for i := range tolerations {
		if tolerations[i].Operator == "" {
			tolerations[i].Operator = resourcev1.DeviceTolerationOpEqual
		}
	}
}

// dropGated drops what is behind a gate that is off.
func dropGated(s *resourcev1.ResourceClaimSpec) {
	for i := range s.Devices.Requests {
		r := &s.Devices.Requests[i]
		if r.Exactly != nil {
			r.Exactly.DerivedAttributes = nil
		}
		for j := range r.FirstAvailable {
			r.FirstAvailable[j].DerivedAttributes = nil
		}
	}
}
