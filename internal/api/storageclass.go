package api

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/validation"
)

func storageClassKind() Kind {
	return Declare(Kind{
		GVK:                      storagev1.SchemeGroupVersion.WithKind("StorageClass"),
		Resource:                 "storageclasses",
		Singular:                 "storageclass",
		ShortNames:               []string{"sc"},
		Columns:                  columns.StorageClass,
		New:                      func() runtime.Object { return &storagev1.StorageClass{} },
		NewList:                  func() runtime.Object { return &storagev1.StorageClassList{} },
		AllowUnconditionalUpdate: true,
	}, Rules[*storagev1.StorageClass]{
		Default:        defaults.StorageClass,
		Validate:       check(validation.StorageClass),
		ValidateUpdate: checkUpdate(validation.StorageClassUpdate),
		Row:            columns.StorageClassRow,
	})
}
