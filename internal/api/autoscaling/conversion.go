package autoscaling

import (
	"encoding/json"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// addInternal makes v2 the internal version, with the Scale that v1 has, and
// registers the way from v1 and back.
func addInternal(s *runtime.Scheme) error {
	internal := schema.GroupVersion{Group: autoscalingv2.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &autoscaler{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &autoscalingv1.Scale{})
	for _, c := range []struct {
		from, to any
		convert  conversion.ConversionFunc
	}{
		{(*autoscalingv1.HorizontalPodAutoscaler)(nil), (*autoscaler)(nil), func(a, b any, _ conversion.Scope) error {
			fromV1(a.(*autoscalingv1.HorizontalPodAutoscaler), b.(*autoscaler))
			return nil
		}},
		{(*autoscaler)(nil), (*autoscalingv1.HorizontalPodAutoscaler)(nil), func(a, b any, _ conversion.Scope) error {
			return toV1(a.(*autoscaler), b.(*autoscalingv1.HorizontalPodAutoscaler))
		}},
		{(*autoscalingv1.HorizontalPodAutoscalerList)(nil), (*autoscalingv2.HorizontalPodAutoscalerList)(nil), func(a, b any, _ conversion.Scope) error {
			in, out := a.(*autoscalingv1.HorizontalPodAutoscalerList), b.(*autoscalingv2.HorizontalPodAutoscalerList)
			out.ListMeta, out.Items = in.ListMeta, make([]autoscaler, len(in.Items))
			for i := range in.Items {
				fromV1(&in.Items[i], &out.Items[i])
			}
			return nil
		}},
		{(*autoscalingv2.HorizontalPodAutoscalerList)(nil), (*autoscalingv1.HorizontalPodAutoscalerList)(nil), func(a, b any, _ conversion.Scope) error {
			in, out := a.(*autoscalingv2.HorizontalPodAutoscalerList), b.(*autoscalingv1.HorizontalPodAutoscalerList)
			out.ListMeta, out.Items = in.ListMeta, make([]autoscalingv1.HorizontalPodAutoscaler, len(in.Items))
			for i := range in.Items {
				if err := toV1(&in.Items[i], &out.Items[i]); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		if err := s.AddConversionFunc(c.from, c.to, c.convert); err != nil {
			return err
		}
	}
	return nil
}

// fromV1 takes v1 apart. What its annotations carry counts for more than its
// fields; one that cannot be read counts for nothing.
func fromV1(in *autoscalingv1.HorizontalPodAutoscaler, out *autoscaler) {
	*out = autoscaler{ObjectMeta: in.ObjectMeta}
	s, is := &in.Spec, &in.Status
	out.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference(s.ScaleTargetRef)
	out.Spec.MinReplicas, out.Spec.MaxReplicas = s.MinReplicas, s.MaxReplicas
	var carried []autoscalingv1.MetricSpec
	carriedBy(in, metricsCarried, &carried)
	for i := range carried {
		out.Spec.Metrics = append(out.Spec.Metrics, metricFromV1(&carried[i]))
	}
	if percent := s.TargetCPUUtilizationPercentage; percent != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, cpuMetric(*percent))
	}
	var behavior bareBehavior
	if carriedBy(in, behaviorCarried, &behavior) && behavior != (bareBehavior{}) {
		out.Spec.Behavior = behavior.dressed()
	}
	out.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: is.ObservedGeneration, LastScaleTime: is.LastScaleTime,
		CurrentReplicas: is.CurrentReplicas, DesiredReplicas: is.DesiredReplicas,
	}
	var statuses []autoscalingv1.MetricStatus
	if carriedBy(in, statusesCarried, &statuses) {
		out.Status.CurrentMetrics = make([]autoscalingv2.MetricStatus, len(statuses))
		for i := range statuses {
			out.Status.CurrentMetrics[i] = metricStatusFromV1(&statuses[i])
		}
	} else if is.CurrentCPUUtilizationPercentage != nil {
		out.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricStatus{
				Name:    corev1.ResourceCPU,
				Current: autoscalingv2.MetricValueStatus{AverageUtilization: is.CurrentCPUUtilizationPercentage},
			},
		}}
	}
	carriedBy(in, conditionsCarried, &out.Status.Conditions)
	dropCarried(&out.ObjectMeta)
	setDefaults(out)
}

// carriedBy reads an annotation.
func carriedBy[T any](in *autoscalingv1.HorizontalPodAutoscaler, annotation string, into *T) bool {
	text, ok := in.Annotations[annotation]
	if !ok {
		return false
	}
	var read T
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return false
	}
	*into = read
	return true
}

// toV1 puts what v1 has no field for into annotations.
func toV1(in *autoscaler, out *autoscalingv1.HorizontalPodAutoscaler) error {
	*out = autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: in.ObjectMeta}
	dropCarried(&out.ObjectMeta)
	s, is := &in.Spec, &in.Status
	out.Spec.ScaleTargetRef = autoscalingv1.CrossVersionObjectReference(s.ScaleTargetRef)
	out.Spec.MinReplicas, out.Spec.MaxReplicas = s.MinReplicas, s.MaxReplicas
	var metrics []autoscalingv1.MetricSpec
	for i := range s.Metrics {
		m := &s.Metrics[i]
		if m.Type != autoscalingv2.ResourceMetricSourceType || m.Resource == nil || m.Resource.Name != corev1.ResourceCPU || m.Resource.Target.AverageUtilization == nil {
			metrics = append(metrics, metricToV1(m))
		} else if out.Spec.TargetCPUUtilizationPercentage == nil {
			out.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
		}
	}
	out.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: is.ObservedGeneration, LastScaleTime: is.LastScaleTime,
		CurrentReplicas: is.CurrentReplicas, DesiredReplicas: is.DesiredReplicas,
	}
	var statuses []autoscalingv1.MetricStatus
	for i := range is.CurrentMetrics {
		m := &is.CurrentMetrics[i]
		statuses = append(statuses, metricStatusToV1(m))
		if m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU && m.Resource.Current.AverageUtilization != nil {
			out.Status.CurrentCPUUtilizationPercentage = m.Resource.Current.AverageUtilization
		}
	}
	if err := carry(&out.ObjectMeta, metricsCarried, metrics, len(metrics) > 0); err != nil {
		return err
	}
	if err := carry(&out.ObjectMeta, statusesCarried, statuses, len(statuses) > 0); err != nil {
		return err
	}
	if err := carry(&out.ObjectMeta, behaviorCarried, bare(s.Behavior), s.Behavior != nil); err != nil {
		return err
	}
	return carry(&out.ObjectMeta, conditionsCarried, is.Conditions, len(is.Conditions) > 0)
}

// carry writes an annotation, without touching the map that others share.
func carry(m *metav1.ObjectMeta, annotation string, what any, needed bool) error {
	if !needed {
		return nil
	}
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if m.Annotations = maps.Clone(m.Annotations); m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	m.Annotations[annotation] = string(text)
	return nil
}
