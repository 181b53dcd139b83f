package storage

import (
	"context"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

// The status of a CSINode is behind a gate that is off in Kubernetes 1.37: it
// is dropped.
func csiNodeKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:      storagev1.SchemeGroupVersion.WithKind("CSINode"),
		Resource: "csinodes",
		Singular: "csinode",
		New:      func() runtime.Object { return &storagev1.CSINode{} },
		NewList:  func() runtime.Object { return &storagev1.CSINodeList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Drivers", "integer", "Drivers indicates the number of CSI drivers registered on the node"),
			columns.Age(),
		},
	}, kind.Rules[*storagev1.CSINode]{
		PrepareCreate:  func(_ context.Context, n *storagev1.CSINode) { n.Status = storagev1.CSINodeStatus{} },
		PrepareUpdate:  func(_ context.Context, n, old *storagev1.CSINode) { n.Status = old.Status },
		Validate:       kind.Check(validateCSINode),
		ValidateUpdate: kind.CheckUpdate(validateCSINodeUpdate),
		Row: func(n *storagev1.CSINode) []any {
			return []any{n.Name, int64(len(n.Spec.Drivers)), columns.Since(n.CreationTimestamp)}
		},
	})
}

const longestNodeID = 256

func validateCSINode(n *storagev1.CSINode) field.ErrorList {
	var f validation.Findings
	f.Meta(&n.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	drivers := validation.Names{}
	for i := range n.Spec.Drivers {
		d, p := &n.Spec.Drivers[i], specPath.Child("drivers").Index(i)
		f.CSIDriver(p.Child("name"), d.Name)
		f.NotEmpty(p.Child("nodeID"), d.NodeID)
		if len(d.NodeID) > longestNodeID {
			f.Invalid(p.Child("nodeID"), d.NodeID, fmt.Sprintf("must be %d characters or less", longestNodeID))
		}
		if a := d.Allocatable; a != nil && a.Count != nil {
			f.NotNegative(p.Child("allocatable", "count"), int64(*a.Count))
		}
		if !drivers.Use(d.Name) {
			f.Add(field.Duplicate(p.Child("name"), d.Name))
		}
		keys := validation.Names{}
		for _, key := range d.TopologyKeys {
			f.NotEmpty(p, key)
			if !keys.Use(key) {
				f.Add(field.Duplicate(p, key))
			}
			f.Messages(p, key, utilvalidation.IsQualifiedName(key))
		}
	}
	return f.List()
}

// fixedDriver is what may not change of a driver, as upstream's messages show it.
type fixedDriver struct {
	Name         string
	NodeID       string
	TopologyKeys []string
	Allocatable  *storagev1.VolumeNodeResources
}

// validateCSINodeUpdate lets drivers come and go and their limits change.
func validateCSINodeUpdate(n, old *storagev1.CSINode) field.ErrorList {
	var f validation.Findings
	f.Add(validateCSINode(n)...)
	for _, was := range old.Spec.Drivers {
		for _, is := range n.Spec.Drivers {
			if is.Name != was.Name {
				continue
			}
			is.Allocatable, was.Allocatable = nil, nil
			if !equality.Semantic.DeepEqual(is, was) {
				f.Invalid(specPath.Child("drivers"), fixedDriver(is), apivalidation.FieldImmutableErrorMsg)
			}
		}
	}
	return f.List()
}
