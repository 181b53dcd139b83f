package autoscaling

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

func metrics(f *validation.Findings, p *field.Path, s *autoscalingv2.HorizontalPodAutoscalerSpec, objects leniency) {
	awake := false // something tells when to leave zero
	for i := range s.Metrics {
		m := &s.Metrics[i]
		metric(f, p.Index(i), m, objects)
		awake = awake || m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
	}
	if n := s.MinReplicas; n != nil && *n == 0 && !awake {
		f.Forbidden(p, "must specify at least one Object or External metric to support scaling to zero replicas")
	}
}

// source is one of the fields of which a metric has one.
type source struct {
	field string
	kind  autoscalingv2.MetricSourceType
	set   bool
	check func(*field.Path)
}

func metric(f *validation.Findings, p *field.Path, m *autoscalingv2.MetricSpec, objects leniency) {
	sources := []source{
		{"object", autoscalingv2.ObjectMetricSourceType, m.Object != nil, func(p *field.Path) { objectSource(f, p, m.Object, objects) }},
		{"external", autoscalingv2.ExternalMetricSourceType, m.External != nil, func(p *field.Path) { externalSource(f, p, m.External) }},
		{"pods", autoscalingv2.PodsMetricSourceType, m.Pods != nil, func(p *field.Path) { podsSource(f, p, m.Pods) }},
		{"resource", autoscalingv2.ResourceMetricSourceType, m.Resource != nil, func(p *field.Path) { resourceSource(f, p, m.Resource) }},
		{"containerResource", autoscalingv2.ContainerResourceMetricSourceType, m.ContainerResource != nil, func(p *field.Path) { containerSource(f, p, m.ContainerResource) }},
	}
	if m.Type == "" {
		f.Required(p.Child("type"), "must specify a metric source type")
	}
	known := func() {
		validation.Among(f, p.Child("type"), m.Type,
			autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType, autoscalingv2.ObjectMetricSourceType,
			autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType)
	}
	known()
	set := 0
	for _, s := range sources {
		if !s.set {
			continue
		}
		if set++; set == 1 {
			s.check(p.Child(s.field))
		}
	}
	for _, s := range sources {
		if s.kind == m.Type && !s.set {
			f.Required(p.Child(s.field), "must populate information for the given metric source")
		}
	}
	known() // upstream says it twice
	for _, s := range sources {
		if set > 1 && s.set && s.kind != m.Type {
			f.Forbidden(p.Child(s.field), "must populate the given metric source only")
		}
	}
}

func objectSource(f *validation.Findings, p *field.Path, m *autoscalingv2.ObjectMetricSource, allowed leniency) {
	reference(f, p.Child("describedObject"), &m.DescribedObject, allowed)
	identifier(f, p.Child("metric"), &m.Metric)
	metricTarget(f, p.Child("target"), &m.Target)
	if m.Target.Value == nil && m.Target.AverageValue == nil {
		f.Required(p.Child("target", "averageValue"), "must set either a target value or averageValue")
	}
}

func externalSource(f *validation.Findings, p *field.Path, m *autoscalingv2.ExternalMetricSource) {
	identifier(f, p.Child("metric"), &m.Metric)
	metricTarget(f, p.Child("target"), &m.Target)
	if m.Target.Value == nil && m.Target.AverageValue == nil {
		f.Required(p.Child("target", "averageValue"), "must set either a target value for metric or a per-pod target")
	}
	if m.Target.Value != nil && m.Target.AverageValue != nil {
		f.Forbidden(p.Child("target", "value"), "may not set both a target value for metric and a per-pod target")
	}
}

func podsSource(f *validation.Findings, p *field.Path, m *autoscalingv2.PodsMetricSource) {
	identifier(f, p.Child("metric"), &m.Metric)
	metricTarget(f, p.Child("target"), &m.Target)
	if m.Target.AverageValue == nil {
		f.Required(p.Child("target", "averageValue"), "must specify a positive target averageValue")
	}
}

func resourceSource(f *validation.Findings, p *field.Path, m *autoscalingv2.ResourceMetricSource) {
	if m.Name == "" {
		f.Required(p.Child("name"), "must specify a resource name")
	}
	usage(f, p.Child("target"), &m.Target)
}

func containerSource(f *validation.Findings, p *field.Path, m *autoscalingv2.ContainerResourceMetricSource) {
	if m.Name == "" {
		f.Required(p.Child("name"), "must specify a resource name")
	} else {
		f.ContainerResourceName(p.Child("name"), m.Name)
	}
	if m.Container == "" {
		f.Required(p.Child("container"), "must specify a container")
	} else {
		f.DNSLabel(p.Child("container"), m.Container)
	}
	usage(f, p.Child("target"), &m.Target)
}

// usage checks what is aimed at of a resource: an amount or a share of the request.
func usage(f *validation.Findings, p *field.Path, t *autoscalingv2.MetricTarget) {
	metricTarget(f, p, t)
	if t.AverageUtilization == nil && t.AverageValue == nil {
		f.Required(p.Child("averageUtilization"), "must set either a target raw value or a target utilization")
	}
	if t.AverageUtilization != nil && t.AverageValue != nil {
		f.Forbidden(p.Child("averageValue"), "may not set both a target raw value and a target utilization")
	}
}

func metricTarget(f *validation.Findings, p *field.Path, t *autoscalingv2.MetricTarget) {
	if t.Type == "" {
		f.Required(p.Child("type"), "must specify a metric target type")
	}
	switch t.Type {
	case autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType:
	default:
		f.Invalid(p.Child("type"), t.Type, "must be either Utilization, Value, or AverageValue")
	}
	positive := func(name string, q *resource.Quantity) {
		if q != nil && q.Sign() <= 0 {
			f.Invalid(p.Child(name), q, "must be positive")
		}
	}
	positive("value", t.Value)
	positive("averageValue", t.AverageValue)
	if n := t.AverageUtilization; n != nil && *n < 1 {
		f.Invalid(p.Child("averageUtilization"), *n, "must be greater than 0")
	}
}

func identifier(f *validation.Findings, p *field.Path, m *autoscalingv2.MetricIdentifier) {
	if m.Name == "" {
		f.Required(p.Child("name"), "must specify a metric name")
		return
	}
	f.Messages(p.Child("name"), m.Name, path.IsValidPathSegmentName(m.Name))
}
