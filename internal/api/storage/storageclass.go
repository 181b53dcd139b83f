package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func storageClassKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      storagev1.SchemeGroupVersion.WithKind("StorageClass"),
		Resource:                 "storageclasses",
		Singular:                 "storageclass",
		ShortNames:               []string{"sc"},
		Columns:                  columns.StorageClass,
		New:                      func() runtime.Object { return &storagev1.StorageClass{} },
		NewList:                  func() runtime.Object { return &storagev1.StorageClassList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*storagev1.StorageClass]{
		Default:        defaults.StorageClass,
		Validate:       kind.Check(validation.StorageClass),
		ValidateUpdate: kind.CheckUpdate(validation.StorageClassUpdate),
		Warnings:       kind.Warnings(warning.StorageClass),
		Row:            columns.StorageClassRow,
	})
}
