package flowcontrol

import (
	"cmp"
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

const defaultPrecedence = 1000

func flowSchemaKind() kind.Kind {
	doc := flowcontrolv1.FlowSchemaSpec{}.SwaggerDoc()
	return kind.Declare(kind.Kind{
		GVK:                      flowcontrolv1.SchemeGroupVersion.WithKind("FlowSchema"),
		Resource:                 "flowschemas",
		Singular:                 "flowschema",
		HasStatus:                true,
		HasGeneration:            true,
		StatusKeeps:              []string{"metadata"},
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &flowcontrolv1.FlowSchema{} },
		NewList:                  func() runtime.Object { return &flowcontrolv1.FlowSchemaList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("PriorityLevel", "string", flowcontrolv1.PriorityLevelConfigurationReference{}.SwaggerDoc()["name"]),
			columns.Column("MatchingPrecedence", "string", doc["matchingPrecedence"]),
			columns.Column("DistinguisherMethod", "string", doc["distinguisherMethod"]),
			columns.Age(),
			columns.Column("MissingPL", "string", "references a broken or non-existent PriorityLevelConfiguration"),
		},
	}, kind.Rules[*flowcontrolv1.FlowSchema]{
		Default: func(s *flowcontrolv1.FlowSchema) {
			if s.Spec.MatchingPrecedence == 0 {
				s.Spec.MatchingPrecedence = defaultPrecedence
			}
		},
		Validate: kind.Check(validateFlowSchema),
		ValidateUpdate: func(_ context.Context, s, _ *flowcontrolv1.FlowSchema) field.ErrorList {
			return validateFlowSchema(s)
		},
		ValidateStatusUpdate: func(_ context.Context, s, _ *flowcontrolv1.FlowSchema) field.ErrorList {
			return flowSchemaStatus(&s.Status)
		},
		CopySpec:   func(s, old *flowcontrolv1.FlowSchema) { s.Spec = old.Spec },
		CopyStatus: func(s, old *flowcontrolv1.FlowSchema) { s.Status = old.Status },
		Order: func(a, b *flowcontrolv1.FlowSchema) int {
			return cmp.Or(cmp.Compare(a.Spec.MatchingPrecedence, b.Spec.MatchingPrecedence), cmp.Compare(a.Name, b.Name))
		},
		Row: func(s *flowcontrolv1.FlowSchema) []any {
			method, dangling := columns.None, "?"
			if m := s.Spec.DistinguisherMethod; m != nil {
				method = string(m.Type)
			}
			for _, c := range s.Status.Conditions {
				if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
					dangling = string(c.Status)
					break
				}
			}
			return []any{
				s.Name, s.Spec.PriorityLevelConfiguration.Name, int64(s.Spec.MatchingPrecedence), method,
				columns.Since(s.CreationTimestamp), dangling,
			}
		},
	})
}
