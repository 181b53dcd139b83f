package autoscaling

import (
	"context"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/kind"
)

type autoscaler = autoscalingv2.HorizontalPodAutoscaler

func horizontalPodAutoscalerKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
		OtherVersions:            []schema.GroupVersion{autoscalingv1.SchemeGroupVersion},
		Resource:                 "horizontalpodautoscalers",
		Singular:                 "horizontalpodautoscaler",
		ShortNames:               []string{"hpa"},
		Categories:               []string{"all"},
		Namespaced:               true,
		HasStatus:                true,
		HasGeneration:            true,
		Columns:                  autoscalerColumns,
		New:                      func() runtime.Object { return &autoscaler{} },
		NewList:                  func() runtime.Object { return &autoscalingv2.HorizontalPodAutoscalerList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*autoscaler]{
		Default:              setDefaults,
		PrepareCreate:        func(_ context.Context, a *autoscaler) { dropCarried(&a.ObjectMeta) },
		PrepareUpdate:        func(_ context.Context, a, _ *autoscaler) { dropCarried(&a.ObjectMeta) },
		PrepareStatusUpdate:  func(_ context.Context, a, _ *autoscaler) { dropCarried(&a.ObjectMeta) },
		Validate:             kind.Check(validate),
		ValidateUpdate:       kind.CheckUpdate(validateUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateStatus),
		CopySpec:             func(a, old *autoscaler) { a.Spec = old.Spec },
		CopyStatus:           func(a, old *autoscaler) { a.Status = old.Status },
		Row:                  autoscalerRow,
	})
}

// horizontalPodAutoscalerV1Kind serves the same objects in their older form.
func horizontalPodAutoscalerV1Kind() kind.Kind {
	k := horizontalPodAutoscalerKind()
	k.StoredAs, k.OtherVersions = k.GVK.GroupVersion(), nil
	k.GVK = autoscalingv1.SchemeGroupVersion.WithKind(k.GVK.Kind)
	k.Default = nil // the conversion sets them
	return k
}

// The annotations in which v1 carries what only v2 has fields for.
const (
	metricsCarried    = "autoscaling.alpha.kubernetes.io/metrics"
	behaviorCarried   = "autoscaling.alpha.kubernetes.io/behavior"
	statusesCarried   = "autoscaling.alpha.kubernetes.io/current-metrics"
	conditionsCarried = "autoscaling.alpha.kubernetes.io/conditions"
)

// dropCarried removes those annotations: v2 has the fields.
func dropCarried(m *metav1.ObjectMeta) {
	carried := func(name, _ string) bool {
		switch name {
		case metricsCarried, behaviorCarried, statusesCarried, conditionsCarried:
			return true
		}
		return false
	}
	for name := range m.Annotations {
		if carried(name, "") {
			m.Annotations = maps.Clone(m.Annotations)
			maps.DeleteFunc(m.Annotations, carried)
			return
		}
	}
}

// averageCPU is the percentage of requested CPU that is aimed at by default.
const averageCPU = 80

func setDefaults(a *autoscaler) {
	s := &a.Spec
	if s.MinReplicas == nil {
		s.MinReplicas = ptr.To[int32](1)
	}
	if len(s.Metrics) == 0 {
		s.Metrics = []autoscalingv2.MetricSpec{cpuMetric(averageCPU)}
	}
	if b := s.Behavior; b != nil {
		b.ScaleUp = completed(b.ScaleUp, autoscalingv2.HPAScalingRules{
			StabilizationWindowSeconds: ptr.To[int32](0),
			Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
				{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
			},
		})
		b.ScaleDown = completed(b.ScaleDown, autoscalingv2.HPAScalingRules{
			Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
			},
		})
	}
}

// cpuMetric aims at a percentage of the CPU that pods request.
func cpuMetric(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
		},
	}
}

// completed is rules with what they leave open taken from the defaults.
func completed(rules *autoscalingv2.HPAScalingRules, defaults autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	out := &defaults
	out.SelectPolicy = ptr.To(autoscalingv2.MaxChangePolicySelect)
	if rules == nil {
		return out
	}
	if rules.SelectPolicy != nil {
		out.SelectPolicy = rules.SelectPolicy
	}
	if rules.StabilizationWindowSeconds != nil {
		out.StabilizationWindowSeconds = rules.StabilizationWindowSeconds
	}
	if rules.Policies != nil {
		out.Policies = rules.Policies
	}
	out.Tolerance = rules.Tolerance
	return out
}
