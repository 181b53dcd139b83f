// Package flowcontrol declares the kinds of flowcontrol.apiserver.k8s.io, one file each.
package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is flowcontrol.apiserver.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: flowcontrolv1.SchemeGroupVersion, Add: flowcontrolv1.AddToScheme}},
		Kinds: []kind.Kind{
			flowSchemaKind(),
			priorityLevelKind(),
		},
	}
}
