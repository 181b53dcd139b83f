package node

import (
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func runtimeClassKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:      nodev1.SchemeGroupVersion.WithKind("RuntimeClass"),
		Resource: "runtimeclasses",
		Singular: "runtimeclass",
		New:      func() runtime.Object { return &nodev1.RuntimeClass{} },
		NewList:  func() runtime.Object { return &nodev1.RuntimeClassList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Handler", "string", nodev1.RuntimeClass{}.SwaggerDoc()["handler"]),
			columns.Age(),
		},
	}, kind.Rules[*nodev1.RuntimeClass]{
		Validate:       kind.Check(validation.RuntimeClass),
		ValidateUpdate: kind.CheckUpdate(validation.RuntimeClassUpdate),
		Row: func(c *nodev1.RuntimeClass) []any {
			return []any{c.Name, c.Handler, columns.Since(c.CreationTimestamp)}
		},
	})
}
