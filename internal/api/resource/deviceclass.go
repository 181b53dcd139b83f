package resource

import (
	"context"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func deviceClassKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      resourcev1.SchemeGroupVersion.WithKind("DeviceClass"),
		Resource:                 "deviceclasses",
		Singular:                 "deviceclass",
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &resourcev1.DeviceClass{} },
		NewList:                  func() runtime.Object { return &resourcev1.DeviceClassList{} },
		Columns:                  columns.Definitions{columns.Name(), columns.Age()},
	}, kind.Rules[*resourcev1.DeviceClass]{
		PrepareCreate: func(_ context.Context, d *resourcev1.DeviceClass) { d.Generation = 1 },
		PrepareUpdate: func(_ context.Context, d, old *resourcev1.DeviceClass) {
			if !equality.Semantic.DeepEqual(d.Spec, old.Spec) {
				d.Generation = old.Generation + 1
			}
		},
		Validate: func(ctx context.Context, d *resourcev1.DeviceClass) field.ErrorList {
			c := &check{ctx: ctx}
			c.class(d, nil)
			return c.List()
		},
		ValidateUpdate: func(ctx context.Context, d, old *resourcev1.DeviceClass) field.ErrorList {
			c := &check{ctx: ctx}
			c.class(d, old)
			return c.List()
		},
		Row: func(d *resourcev1.DeviceClass) []any { return []any{d.Name, columns.Since(d.CreationTimestamp)} },
	})
}

func (c *check) class(d, old *resourcev1.DeviceClass) {
	c.Meta(&d.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if old != nil {
		c.MetaUpdate(&d.ObjectMeta, &old.ObjectMeta)
	}
	s := &d.Spec
	c.stored = old != nil && equality.Semantic.DeepEqual(s.Selectors, old.Spec.Selectors)
	c.selectors(specPath.Child("selectors"), s.Selectors)
	c.stored = old != nil && equality.Semantic.DeepEqual(s.Config, old.Spec.Config)
	each(c, specPath.Child("config"), s.Config, resourcev1.DeviceConfigMaxSize, func(p *field.Path, config *resourcev1.DeviceClassConfiguration) {
		c.configuration(p, &config.DeviceConfiguration)
	})
	c.AddDeclared(validate.ExtendedResourceName(c.ctx, create, specPath.Child("extendedResourceName"), s.ExtendedResourceName, nil)...)
}
