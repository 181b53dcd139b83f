package resource

import (
	"context"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func resourceSliceKind() kind.Kind {
	doc := resourcev1.ResourceSliceSpec{}.SwaggerDoc()
	return kind.Declare(kind.Kind{
		GVK:                      resourcev1.SchemeGroupVersion.WithKind("ResourceSlice"),
		Resource:                 "resourceslices",
		Singular:                 "resourceslice",
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &resourcev1.ResourceSlice{} },
		NewList:                  func() runtime.Object { return &resourcev1.ResourceSliceList{} },
		FieldNames:               []string{resourcev1.ResourceSliceSelectorNodeName, resourcev1.ResourceSliceSelectorDriver, resourcev1.ResourceSliceSelectorPoolName},
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Node", "string", doc["nodeName"]),
			columns.Column("Driver", "string", doc["driver"]),
			columns.Column("Pool", "string", resourcev1.ResourcePool{}.SwaggerDoc()["name"]),
			columns.Age(),
		},
	}, kind.Rules[*resourcev1.ResourceSlice]{
		Default: defaultSlice,
		PrepareCreate: func(_ context.Context, s *resourcev1.ResourceSlice) {
			s.Generation = 1
			dropGatedSlice(&s.Spec)
		},
		PrepareUpdate: func(_ context.Context, s, old *resourcev1.ResourceSlice) {
			dropGatedSlice(&s.Spec)
			if !equality.Semantic.DeepEqual(s.Spec, old.Spec) {
				s.Generation = old.Generation + 1
			}
		},
		Validate: func(ctx context.Context, s *resourcev1.ResourceSlice) field.ErrorList {
			c := &check{ctx: ctx}
			c.Meta(&s.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
			c.slice(&s.Spec, nil)
			return c.List()
		},
		ValidateUpdate: func(ctx context.Context, s, old *resourcev1.ResourceSlice) field.ErrorList {
			c := &check{ctx: ctx}
			c.MetaUpdate(&s.ObjectMeta, &old.ObjectMeta)
			c.slice(&s.Spec, &old.Spec)
			return c.List()
		},
		Fields: func(s *resourcev1.ResourceSlice) fields.Set {
			return fields.Set{
				resourcev1.ResourceSliceSelectorNodeName: columns.Text(s.Spec.NodeName, ""),
				resourcev1.ResourceSliceSelectorDriver:   s.Spec.Driver,
				resourcev1.ResourceSliceSelectorPoolName: s.Spec.Pool.Name,
			}
		},
		Row: func(s *resourcev1.ResourceSlice) []any {
			return []any{s.Name, columns.Text(s.Spec.NodeName, ""), s.Spec.Driver, s.Spec.Pool.Name, columns.Since(s.CreationTimestamp)}
		},
	})
}

func defaultSlice(s *resourcev1.ResourceSlice) {
	for i := range s.Spec.Devices {
		taints := s.Spec.Devices[i].Taints
		for j := range taints {
			defaultTaint(&taints[j])
		}
	}
}

// dropGatedSlice drops what is behind a gate that is off.
func dropGatedSlice(s *resourcev1.ResourceSliceSpec) {
	s.PartitionTypeAttribute, s.SkipNodeOperations = nil, nil
	for i := range s.Devices {
		d := &s.Devices[i]
		d.NodeAllocatableResources = nil
		for j := range d.ConsumesCounters {
			d.ConsumesCounters[j].CompatibilityGroups = nil
		}
		for name, a := range d.Attributes {
			a.IntValues, a.BoolValues, a.StringValues, a.VersionValues = nil, nil, nil, nil
			d.Attributes[name] = a
		}
	}
}
