package autoscaling

import (
	"fmt"
	"strconv"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"berth.dev/berth/internal/api/columns"
)

var (
	specDoc          = autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc()
	autoscalerStatus = autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()

	autoscalerColumns = columns.Definitions{
		columns.Name(),
		columns.Column("Reference", "string", specDoc["scaleTargetRef"]),
		columns.Column("Targets", "string", specDoc["metrics"]),
		columns.Column("MinPods", "string", specDoc["minReplicas"]),
		columns.Column("MaxPods", "string", specDoc["maxReplicas"]),
		columns.Column("Replicas", "string", autoscalerStatus["currentReplicas"]),
		columns.Age(),
	}
)

func autoscalerRow(a *autoscaler) []any {
	least := columns.Unset
	if n := a.Spec.MinReplicas; n != nil {
		least = strconv.Itoa(int(*n))
	}
	return []any{
		a.Name, a.Spec.ScaleTargetRef.Kind + "/" + a.Spec.ScaleTargetRef.Name,
		targets(a.Spec.Metrics, a.Status.CurrentMetrics), least, int64(a.Spec.MaxReplicas),
		int64(a.Status.CurrentReplicas), columns.Since(a.CreationTimestamp),
	}
}

// targetsShown is how many metrics have room in the table.
const targetsShown = 2

// targets prints what each metric is, and what it should be.
func targets(specs []autoscalingv2.MetricSpec, statuses []autoscalingv2.MetricStatus) string {
	if len(specs) == 0 {
		return columns.None
	}
	var list []string
	for i := range specs[:min(len(specs), targetsShown)] {
		var status autoscalingv2.MetricStatus
		if i < len(statuses) {
			status = statuses[i]
		}
		list = append(list, target(&specs[i], &status))
	}
	out := strings.Join(list, ", ")
	if more := len(specs) - targetsShown; more > 0 {
		out += fmt.Sprintf(" + %d more...", more)
	}
	return out
}

func target(s *autoscalingv2.MetricSpec, is *autoscalingv2.MetricStatus) string {
	switch {
	case s.Type == autoscalingv2.ExternalMetricSourceType && s.External != nil:
		return plainTarget(s.External.Target, current(is.External, func(m *autoscalingv2.ExternalMetricStatus) *value { return &m.Current }))
	case s.Type == autoscalingv2.PodsMetricSourceType && s.Pods != nil:
		is := current(is.Pods, func(m *autoscalingv2.PodsMetricStatus) *value { return &m.Current })
		return averageOf(is) + "/" + s.Pods.Target.AverageValue.String()
	case s.Type == autoscalingv2.ObjectMetricSourceType && s.Object != nil:
		return plainTarget(s.Object.Target, current(is.Object, func(m *autoscalingv2.ObjectMetricStatus) *value { return &m.Current }))
	case s.Type == autoscalingv2.ResourceMetricSourceType && s.Resource != nil:
		return s.Resource.Name.String() + ": " + resourceTarget(s.Resource.Target,
			current(is.Resource, func(m *autoscalingv2.ResourceMetricStatus) *value { return &m.Current }))
	case s.Type == autoscalingv2.ContainerResourceMetricSourceType && s.ContainerResource != nil:
		return s.ContainerResource.Name.String() + ": " + resourceTarget(s.ContainerResource.Target,
			current(is.ContainerResource, func(m *autoscalingv2.ContainerResourceMetricStatus) *value { return &m.Current }))
	}
	return "<unknown type>"
}

type value = autoscalingv2.MetricValueStatus

// current is the value in the status of a metric, if there is one.
func current[T any](m *T, of func(*T) *value) *value {
	if m == nil {
		return nil
	}
	return of(m)
}

func averageOf(v *value) string {
	if v == nil {
		return columns.Unknown
	}
	return v.AverageValue.String()
}

func plainTarget(t autoscalingv2.MetricTarget, is *value) string {
	shown := columns.Unknown
	if t.AverageValue != nil {
		if is != nil && is.AverageValue != nil {
			shown = is.AverageValue.String()
		}
		return shown + "/" + t.AverageValue.String() + " (avg)"
	}
	if is != nil {
		shown = is.Value.String()
	}
	return shown + "/" + t.Value.String()
}

func resourceTarget(t autoscalingv2.MetricTarget, is *value) string {
	if t.AverageValue != nil {
		return averageOf(is) + "/" + t.AverageValue.String()
	}
	shown, wanted := columns.Unknown, "<auto>"
	if is != nil && is.AverageUtilization != nil {
		shown = percent(*is.AverageUtilization)
	}
	if t.AverageUtilization != nil {
		wanted = percent(*t.AverageUtilization)
	}
	return shown + "/" + wanted
}

func percent(n int32) string { return strconv.Itoa(int(n)) + "%" }
