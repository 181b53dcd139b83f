package storage

import (
	"maps"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func volumeAttributesClassKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      storagev1.SchemeGroupVersion.WithKind("VolumeAttributesClass"),
		Resource:                 "volumeattributesclasses",
		Singular:                 "volumeattributesclass",
		ShortNames:               []string{"vac"},
		New:                      func() runtime.Object { return &storagev1.VolumeAttributesClass{} },
		NewList:                  func() runtime.Object { return &storagev1.VolumeAttributesClassList{} },
		AllowUnconditionalUpdate: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("DriverName", "string", storagev1.VolumeAttributesClass{}.SwaggerDoc()["driverName"]),
			columns.Age(),
		},
	}, kind.Rules[*storagev1.VolumeAttributesClass]{
		Validate: kind.Check(func(c *storagev1.VolumeAttributesClass) field.ErrorList {
			var f validation.Findings
			volumeAttributesClass(&f, c)
			return f.List()
		}),
		ValidateUpdate: kind.CheckUpdate(validateVolumeAttributesClassUpdate),
		Row: func(c *storagev1.VolumeAttributesClass) []any {
			return []any{c.Name, c.DriverName, columns.Since(c.CreationTimestamp)}
		},
	})
}

var parametersPath, driverNamePath = field.NewPath("parameters"), field.NewPath("driverName")

func volumeAttributesClass(f *validation.Findings, c *storagev1.VolumeAttributesClass) {
	f.Meta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if f.NotEmpty(driverNamePath, c.DriverName) {
		f.Messages(driverNamePath, c.DriverName, utilvalidation.IsQualifiedName(strings.ToLower(c.DriverName)))
	}
	f.Parameters(parametersPath, c.Parameters)
	if len(c.Parameters) == 0 {
		f.Required(parametersPath, "must contain at least one key/value pair")
	}
}

func validateVolumeAttributesClassUpdate(c, old *storagev1.VolumeAttributesClass) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if c.DriverName != old.DriverName {
		f.Forbidden(driverNamePath, "updates to driverName are forbidden.")
	}
	if !maps.Equal(c.Parameters, old.Parameters) {
		f.Forbidden(parametersPath, "updates to parameters are forbidden.")
	}
	volumeAttributesClass(&f, c)
	return f.List()
}
