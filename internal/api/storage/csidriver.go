package storage

import (
	"context"
	"slices"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func csiDriverKind() kind.Kind {
	doc := storagev1.CSIDriverSpec{}.SwaggerDoc()
	return kind.Declare(kind.Kind{
		GVK:      storagev1.SchemeGroupVersion.WithKind("CSIDriver"),
		Resource: "csidrivers",
		Singular: "csidriver",
		New:      func() runtime.Object { return &storagev1.CSIDriver{} },
		NewList:  func() runtime.Object { return &storagev1.CSIDriverList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("AttachRequired", "boolean", doc["attachRequired"]),
			columns.Column("PodInfoOnMount", "boolean", doc["podInfoOnMount"]),
			columns.Column("StorageCapacity", "boolean", doc["storageCapacity"]),
			columns.Column("TokenRequests", "string", doc["tokenRequests"]),
			columns.Column("RequiresRepublish", "boolean", doc["requiresRepublish"]),
			columns.Column("Modes", "string", doc["volumeLifecycleModes"]),
			columns.Age(),
		},
	}, kind.Rules[*storagev1.CSIDriver]{
		Default: defaultCSIDriver,
		PrepareUpdate: func(_ context.Context, d, old *storagev1.CSIDriver) {
			if !equality.Semantic.DeepEqual(d.Spec, old.Spec) {
				d.Generation = old.Generation + 1
			}
		},
		Validate:       kind.Check(validateCSIDriver),
		ValidateUpdate: kind.CheckUpdate(validateCSIDriverUpdate),
		Row: func(d *storagev1.CSIDriver) []any {
			s := &d.Spec
			return []any{
				d.Name, *is(s.AttachRequired, true), *is(s.PodInfoOnMount, false), *is(s.StorageCapacity, false), audiences(s.TokenRequests),
				*is(s.RequiresRepublish, false), modes(s.VolumeLifecycleModes), columns.Since(d.CreationTimestamp),
			}
		},
	})
}

func audiences(requests []storagev1.TokenRequest) string {
	if requests == nil {
		return columns.Unset
	}
	var out []string
	for _, r := range requests {
		out = append(out, r.Audience)
	}
	return strings.Join(out, ",")
}

func modes(list []storagev1.VolumeLifecycleMode) string {
	var out []string
	for _, m := range list {
		out = append(out, string(m))
	}
	return columns.Or(strings.Join(out, ","), columns.None)
}

// is fills an optional flag.
func is(flag *bool, unless bool) *bool {
	if flag == nil {
		return &unless
	}
	return flag
}

func defaultCSIDriver(d *storagev1.CSIDriver) {
	s := &d.Spec
	s.AttachRequired = is(s.AttachRequired, true)
	for _, flag := range []**bool{&s.PodInfoOnMount, &s.StorageCapacity, &s.RequiresRepublish, &s.SELinuxMount, &s.PreventPodSchedulingIfMissing} {
		*flag = is(*flag, false)
	}
	if s.FSGroupPolicy == nil {
		s.FSGroupPolicy = new(storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	}
	if len(s.VolumeLifecycleModes) == 0 {
		s.VolumeLifecycleModes = append(s.VolumeLifecycleModes, storagev1.VolumeLifecyclePersistent)
	}
}

func validateCSIDriver(d *storagev1.CSIDriver) field.ErrorList {
	var f validation.Findings
	f.Meta(&d.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	csiDriverSpec(&f, &d.Spec)
	return f.List()
}

func validateCSIDriverUpdate(d, old *storagev1.CSIDriver) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&d.ObjectMeta, &old.ObjectMeta)
	csiDriverSpec(&f, &d.Spec)
	f.Immutable(specPath.Child("attachedRequired"), d.Spec.AttachRequired, old.Spec.AttachRequired)
	f.Immutable(specPath.Child("volumeLifecycleModes"), d.Spec.VolumeLifecycleModes, old.Spec.VolumeLifecycleModes)
	return f.List()
}

const (
	shortestTokenSeconds  = 600
	longestTokenSeconds   = 1 << 32
	shortestUpdateSeconds = 10
)

func csiDriverSpec(f *validation.Findings, s *storagev1.CSIDriverSpec) {
	if p := s.FSGroupPolicy; p != nil {
		validation.Among(f, specPath.Child("fsGroupPolicy"), *p, storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy,
			storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	}
	tokenRequests(f, specPath.Child("tokenRequests"), s.TokenRequests)
	for _, mode := range s.VolumeLifecycleModes {
		validation.Among(f, specPath.Child("volumeLifecycleModes"), mode, storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral)
	}
	if n := s.NodeAllocatableUpdatePeriodSeconds; n != nil && *n < shortestUpdateSeconds {
		f.Invalid(specPath.Child("nodeAllocatableUpdatePeriodSeconds"), *n, "must be greater than or equal to 10 seconds")
	}
	if in := s.ServiceAccountTokenInSecrets; in != nil && len(s.TokenRequests) == 0 {
		f.Invalid(specPath.Child("serviceAccountTokenInSecrets"), *in, "serviceAccountTokenInSecrets is set but no tokenRequests are specified")
	}
}

func tokenRequests(f *validation.Findings, p *field.Path, requests []storagev1.TokenRequest) {
	for i, r := range requests {
		same := func(o storagev1.TokenRequest) bool { return o.Audience == r.Audience }
		if slices.ContainsFunc(requests[:i], same) {
			f.Add(field.Duplicate(p.Index(i).Child("audience"), r.Audience))
			continue
		}
		if r.ExpirationSeconds == nil {
			continue
		}
		p, n := p.Index(i).Child("expirationSeconds"), *r.ExpirationSeconds
		if n < shortestTokenSeconds {
			f.Invalid(p, n, "may not specify a duration less than 10 minutes")
		}
		if n > longestTokenSeconds {
			f.Invalid(p, n, "may not specify a duration larger than 2^32 seconds")
		}
	}
}
