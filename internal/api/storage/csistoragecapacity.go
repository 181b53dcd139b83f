package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func csiStorageCapacityKind() kind.Kind {
	doc := storagev1.CSIStorageCapacity{}.SwaggerDoc()
	return kind.Declare(kind.Kind{
		GVK:        storagev1.SchemeGroupVersion.WithKind("CSIStorageCapacity"),
		Resource:   "csistoragecapacities",
		Singular:   "csistoragecapacity",
		Namespaced: true,
		New:        func() runtime.Object { return &storagev1.CSIStorageCapacity{} },
		NewList:    func() runtime.Object { return &storagev1.CSIStorageCapacityList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("StorageClassName", "string", doc["storageClassName"]),
			columns.Column("Capacity", "string", doc["capacity"]),
		},
	}, kind.Rules[*storagev1.CSIStorageCapacity]{
		Validate: kind.Check(func(c *storagev1.CSIStorageCapacity) field.ErrorList {
			return validateCSIStorageCapacity(c, metavalidation.LabelSelectorValidationOptions{})
		}),
		ValidateUpdate: kind.CheckUpdate(validateCSIStorageCapacityUpdate),
		Warnings: kind.Warnings(func(c *storagev1.CSIStorageCapacity) []string {
			return warning.NodeLabels(c.NodeTopology, field.NewPath("nodeTopology"))
		}),
		Row: func(c *storagev1.CSIStorageCapacity) []any {
			capacity := columns.Unset
			if c.Capacity != nil {
				capacity = c.Capacity.String()
			}
			return []any{c.Name, c.StorageClassName, capacity}
		},
	})
}

func validateCSIStorageCapacity(c *storagev1.CSIStorageCapacity, selector metavalidation.LabelSelectorValidationOptions) field.ErrorList {
	var f validation.Findings
	f.Meta(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	f.Add(metavalidation.ValidateLabelSelector(c.NodeTopology, selector, field.NewPath("nodeTopology"))...)
	f.Messages(field.NewPath("storageClassName"), c.StorageClassName, apivalidation.NameIsDNSSubdomain(c.StorageClassName, false))
	if q := c.Capacity; q != nil && q.Sign() < 0 {
		f.Invalid(field.NewPath("capacity"), q.String(), apivalidation.IsNegativeErrorMsg)
	}
	return f.List()
}

// validateCSIStorageCapacityUpdate lets the amounts change, and label values
// stay that were accepted once.
func validateCSIStorageCapacityUpdate(c, old *storagev1.CSIStorageCapacity) field.ErrorList {
	lenient := old.NodeTopology != nil &&
		len(metavalidation.ValidateLabelSelector(old.NodeTopology, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0
	var f validation.Findings
	f.Add(validateCSIStorageCapacity(c, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lenient})...)
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if !equality.Semantic.DeepEqual(c.NodeTopology, old.NodeTopology) {
		f.Invalid(field.NewPath("nodeTopology"), c.NodeTopology, apivalidation.FieldImmutableErrorMsg)
	}
	if c.StorageClassName != old.StorageClassName {
		f.Invalid(field.NewPath("storageClassName"), c.StorageClassName, apivalidation.FieldImmutableErrorMsg)
	}
	return f.List()
}
