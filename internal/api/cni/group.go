// Package cni declares the kind of k8s.cni.cncf.io.
package cni

import (
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
)

// Group is k8s.cni.cncf.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: cniv1.SchemeGroupVersion, Add: cniv1.AddToScheme}},
		Kinds:    []kind.Kind{networkAttachmentDefinitionKind()},
	}
}

func networkAttachmentDefinitionKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           cniv1.SchemeGroupVersion.WithKind("NetworkAttachmentDefinition"),
		Resource:      "network-attachment-definitions",
		Singular:      "network-attachment-definition",
		ShortNames:    []string{"net-attach-def"},
		Namespaced:    true,
		HasGeneration: true,
		Columns:       columns.Definitions{columns.Name(), columns.Age()},
		New:           func() runtime.Object { return &cniv1.NetworkAttachmentDefinition{} },
		NewList:       func() runtime.Object { return &cniv1.NetworkAttachmentDefinitionList{} },
	}, kind.Rules[*cniv1.NetworkAttachmentDefinition]{
		Validate:       kind.Check(validation.NetworkAttachmentDefinition),
		ValidateUpdate: kind.CheckUpdate(validation.NetworkAttachmentDefinitionUpdate),
		CopySpec:       func(n, old *cniv1.NetworkAttachmentDefinition) { n.Spec = old.Spec },
		Row: func(n *cniv1.NetworkAttachmentDefinition) []any {
			return []any{n.Name, columns.Since(n.CreationTimestamp)}
		},
	})
}
