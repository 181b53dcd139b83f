package autoscale

import (
	"errors"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// proposal is what one metric asks for.
type proposal struct {
	facts    *Facts
	spec     *autoscalingv2.MetricSpec
	measured Measured

	status  autoscalingv2.MetricStatus
	failure string // the reason when it asks for nothing
	cause   error  // and why
}

// replicas is the number, and the metric's name.
func (p *proposal) replicas() (int32, string, error) {
	p.status.Type = p.spec.Type
	var (
		n     int32
		name  string
		outer string // what upstream puts before the cause
	)
	switch s := p.spec; {
	case s.Type == autoscalingv2.ResourceMetricSourceType && s.Resource != nil:
		p.failure, outer = "FailedGetResourceMetric", fmt.Sprintf("failed to get %s resource metric value", s.Resource.Name)
		var value autoscalingv2.MetricValueStatus
		n, name, value = p.resource(&s.Resource.Target, s.Resource.Name, "")
		p.status.Resource = &autoscalingv2.ResourceMetricStatus{Name: s.Resource.Name, Current: value}
	case s.Type == autoscalingv2.ContainerResourceMetricSourceType && s.ContainerResource != nil:
		c := s.ContainerResource
		p.failure, outer = "FailedGetContainerResourceMetric", fmt.Sprintf("failed to get %s container metric value", c.Container)
		var value autoscalingv2.MetricValueStatus
		n, name, value = p.resource(&c.Target, c.Name, c.Container)
		p.status.ContainerResource = &autoscalingv2.ContainerResourceMetricStatus{Name: c.Name, Container: c.Container, Current: value}
	case s.Type == autoscalingv2.PodsMetricSourceType && s.Pods != nil:
		p.failure, outer = "FailedGetPodsMetric", "failed to get pods metric value"
		n, name = p.pods(s.Pods)
	case s.Type == autoscalingv2.ObjectMetricSourceType && s.Object != nil:
		p.failure, outer = "FailedGetObjectMetric", "failed to get object metric value"
		n, name = p.object(s.Object)
	case s.Type == autoscalingv2.ExternalMetricSourceType && s.External != nil:
		p.failure, outer = "FailedGetExternalMetric", fmt.Sprintf("failed to get %s external metric value", s.External.Metric.Name)
		n, name = p.external(s.External)
	default:
		p.failure, p.cause = "InvalidMetricSourceType", fmt.Errorf("unknown metric source type %q", s.Type)
		return 0, "", p.cause
	}
	if p.cause != nil {
		return 0, "", fmt.Errorf("%s: %w", outer, p.cause)
	}
	return n, name, nil
}

// fail notes why there is no number.
func (p *proposal) fail(format string, args ...any) { p.cause = fmt.Errorf(format, args...) }

func (p *proposal) resource(target *autoscalingv2.MetricTarget, of corev1.ResourceName, container string) (int32, string, autoscalingv2.MetricValueStatus) {
	var value autoscalingv2.MetricValueStatus
	what, name := "usage", fmt.Sprintf("%s resource", of)
	if target.AverageValue == nil {
		if target.AverageUtilization == nil {
			p.cause = errors.New("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
			return 0, "", value
		}
		what, name = "utilization", fmt.Sprintf("%s resource utilization (percentage of request)", of)
		if container != "" {
			name = fmt.Sprintf("%s container resource utilization (percentage of request)", of)
		}
	}
	if p.measured.Err != nil {
		p.fail("failed to get %s %s: unable to get metrics for resource %s: %w", of, what, of, p.measured.Err)
		return 0, "", value
	}
	n, now, err := p.facts.ofResource(p.measured, target, of, container)
	if err != nil {
		p.fail("failed to get %s %s: %w", of, what, err)
		return 0, "", value
	}
	format := resource.DecimalSI
	if of == corev1.ResourceMemory {
		format = resource.BinarySI
	}
	value.AverageValue = resource.NewMilliQuantity(now.average, format)
	if target.AverageValue == nil {
		value.AverageUtilization = &now.percent
	}
	return n, name, value
}

func (p *proposal) pods(s *autoscalingv2.PodsMetricSource) (int32, string) {
	f := p.facts
	each := s.Target.AverageValue.MilliValue()
	if p.measured.Err != nil {
		p.fail("unable to get metric %s: %w", s.Metric.Name, p.measured.Err)
		return 0, ""
	}
	if len(f.Pods) == 0 {
		p.cause = errNoPods
		return 0, ""
	}
	c := f.count(p.measured.Pods, "")
	if len(c.values) == 0 {
		p.cause = errNoMetrics
		return 0, ""
	}
	n, now, err := f.replicas(c, plain(each), func(string) int64 { return each })
	if err != nil {
		p.cause = err
		return 0, ""
	}
	p.status.Pods = &autoscalingv2.PodsMetricStatus{Metric: s.Metric, Current: autoscalingv2.MetricValueStatus{AverageValue: milli(now.average)}}
	return n, "pods metric " + s.Metric.Name
}

func (p *proposal) object(s *autoscalingv2.ObjectMetricSource) (int32, string) {
	f := p.facts
	p.status.Object = &autoscalingv2.ObjectMetricStatus{DescribedObject: s.DescribedObject, Metric: s.Metric}
	unable := func() {
		p.fail("unable to get metric %s: %s on %s %s/%w", s.Metric.Name, s.DescribedObject.Kind, f.HPA.Namespace, s.DescribedObject.Name, p.measured.Err)
	}
	switch t := s.Target; {
	case t.Type == autoscalingv2.ValueMetricType && t.Value != nil:
		if p.measured.Err != nil {
			unable()
			return 0, ""
		}
		used := sum(p.measured.Values)
		n, err := f.byRatio(float64(used) / float64(t.Value.MilliValue()))
		if err != nil {
			p.fail("unable to calculate ready pods: %w", err)
			return 0, ""
		}
		p.status.Object.Current.Value = milli(used)
		return n, fmt.Sprintf("%s metric %s", s.DescribedObject.Kind, s.Metric.Name)
	case t.Type == autoscalingv2.AverageValueMetricType && t.AverageValue != nil:
		if p.measured.Err != nil {
			unable()
			p.fail("failed to get %s object metric: %w", s.Metric.Name, p.cause)
			return 0, ""
		}
		n, each := f.perPod(sum(p.measured.Values), t.AverageValue.MilliValue())
		p.status.Object.Current.AverageValue = milli(each)
		return n, fmt.Sprintf("external metric %s(%+v)", s.Metric.Name, s.Metric.Selector) // upstream says external here too
	}
	p.cause = errors.New("invalid object metric source: neither a value target nor an average value target was set")
	return 0, ""
}

func (p *proposal) external(s *autoscalingv2.ExternalMetricSource) (int32, string) {
	f := p.facts
	p.status.External = &autoscalingv2.ExternalMetricStatus{Metric: s.Metric}
	name := fmt.Sprintf("external metric %s(%+v)", s.Metric.Name, s.Metric.Selector)
	used := sum(p.measured.Values)
	unable := fmt.Errorf("unable to get external metric %s/%s/%+v: %w", f.HPA.Namespace, s.Metric.Name, s.Metric.Selector, p.measured.Err)
	switch t := s.Target; {
	case t.AverageValue != nil:
		if p.measured.Err != nil {
			p.fail("failed to get %s external metric: %w", s.Metric.Name, unable)
			return 0, ""
		}
		n, each := f.perPod(used, t.AverageValue.MilliValue())
		p.status.External.Current.AverageValue = milli(each)
		return n, name
	case t.Value != nil:
		if p.measured.Err != nil {
			p.fail("failed to get external metric %s: %w", s.Metric.Name, unable)
			return 0, ""
		}
		n, err := f.byRatio(float64(used) / float64(t.Value.MilliValue()))
		if err != nil {
			p.fail("failed to get external metric %s: unable to calculate ready pods: %w", s.Metric.Name, err)
			return 0, ""
		}
		p.status.External.Current.Value = milli(used)
		return n, name
	}
	p.cause = errors.New("invalid external metric source: neither a value target nor an average value target was set")
	return 0, ""
}

func milli(n int64) *resource.Quantity { return resource.NewMilliQuantity(n, resource.DecimalSI) }
