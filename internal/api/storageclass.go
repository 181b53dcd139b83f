package api

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/defaults"
)

func storageClassKind() Kind {
	return Declare(Kind{
		GVK:                      storagev1.SchemeGroupVersion.WithKind("StorageClass"),
		Resource:                 "storageclasses",
		Singular:                 "storageclass",
		ShortNames:               []string{"sc"},
		New:                      func() runtime.Object { return &storagev1.StorageClass{} },
		NewList:                  func() runtime.Object { return &storagev1.StorageClassList{} },
		AllowUnconditionalUpdate: true,
		Columns:                  nameAndAge,
	}, Rules[*storagev1.StorageClass]{
		Default: defaults.StorageClass,
		Row:     func(o *storagev1.StorageClass) []any { return []any{o.Name, age(o.CreationTimestamp)} },
	})
}
