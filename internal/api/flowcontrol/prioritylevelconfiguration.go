package flowcontrol

import (
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func priorityLevelKind() kind.Kind {
	queuing := flowcontrolv1.QueuingConfiguration{}.SwaggerDoc()
	return kind.Declare(kind.Kind{
		GVK:                      flowcontrolv1.SchemeGroupVersion.WithKind("PriorityLevelConfiguration"),
		Resource:                 "prioritylevelconfigurations",
		Singular:                 "prioritylevelconfiguration",
		HasStatus:                true,
		HasGeneration:            true,
		StatusKeeps:              []string{"metadata"},
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &flowcontrolv1.PriorityLevelConfiguration{} },
		NewList:                  func() runtime.Object { return &flowcontrolv1.PriorityLevelConfigurationList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Type", "string", flowcontrolv1.PriorityLevelConfigurationSpec{}.SwaggerDoc()["type"]),
			columns.Column("NominalConcurrencyShares", "string", flowcontrolv1.LimitedPriorityLevelConfiguration{}.SwaggerDoc()["nominalConcurrencyShares"]),
			columns.Column("Queues", "string", queuing["queues"]),
			columns.Column("HandSize", "string", queuing["handSize"]),
			columns.Column("QueueLengthLimit", "string", queuing["queueLengthLimit"]),
			columns.Age(),
		},
	}, kind.Rules[*flowcontrolv1.PriorityLevelConfiguration]{
		Default:  func(l *flowcontrolv1.PriorityLevelConfiguration) { defaultLevel(&l.Spec) },
		Validate: kind.Check(validateLevel),
		ValidateUpdate: func(_ context.Context, l, _ *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
			return validateLevel(l)
		},
		ValidateStatusUpdate: func(_ context.Context, l, _ *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
			return levelStatus(&l.Status)
		},
		CopySpec:   func(l, old *flowcontrolv1.PriorityLevelConfiguration) { l.Spec = old.Spec },
		CopyStatus: func(l, old *flowcontrolv1.PriorityLevelConfiguration) { l.Status = old.Status },
		Row: func(l *flowcontrolv1.PriorityLevelConfiguration) []any {
			row := []any{l.Name, string(l.Spec.Type), columns.None, columns.None, columns.None, columns.None, columns.Since(l.CreationTimestamp)}
			if limited := l.Spec.Limited; limited != nil {
				row[2] = int64(*amount(limited.NominalConcurrencyShares, 0))
				if q := limited.LimitResponse.Queuing; q != nil {
					row[3], row[4], row[5] = int64(q.Queues), int64(q.HandSize), int64(q.QueueLengthLimit)
				}
			}
			return row
		},
	})
}

// What a level gets that does not say otherwise.
const (
	defaultShares      = 30
	defaultQueues      = 64
	defaultHandSize    = 8
	defaultQueueLength = 50
)

// amount fills an optional number.
func amount(n *int32, unless int32) *int32 {
	if n == nil {
		return &unless
	}
	return n
}

func defaultLevel(s *flowcontrolv1.PriorityLevelConfigurationSpec) {
	if e := s.Exempt; e != nil {
		e.NominalConcurrencyShares = amount(e.NominalConcurrencyShares, 0)
		e.LendablePercent = amount(e.LendablePercent, 0)
	}
	l := s.Limited
	if l == nil {
		return
	}
	l.NominalConcurrencyShares = amount(l.NominalConcurrencyShares, defaultShares)
	l.LendablePercent = amount(l.LendablePercent, 0)
	if q := l.LimitResponse.Queuing; q != nil {
		unlessSet(&q.HandSize, defaultHandSize)
		unlessSet(&q.Queues, defaultQueues)
		unlessSet(&q.QueueLengthLimit, defaultQueueLength)
	}
}

func unlessSet(n *int32, value int32) {
	if *n == 0 {
		*n = value
	}
}
