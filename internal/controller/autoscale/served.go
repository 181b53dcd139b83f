package autoscale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metrics "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"
	"k8s.io/utils/clock"

	plan "berth.dev/berth/internal/plan/autoscale"
)

// unsaidWindow is the window of a custom metric that does not say its own.
const unsaidWindow = time.Minute

// Served are targets and metrics as the API server serves them.
type Served struct {
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	scales   scale.ScalesGetter
	usage    metrics.PodMetricsesGetter
	custom   custom_metrics.CustomMetricsClient
	versions custom_metrics.AvailableAPIsGetter
	external external_metrics.ExternalMetricsClient
	clock    clock.PassiveClock

	mu     sync.Mutex
	looked time.Time // for versions
}

// NewServed asks with the identity in config.
func NewServed(config *rest.Config, c clock.PassiveClock) (*Served, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	s := &Served{clock: c, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))}
	if s.scales, err = scale.NewForConfig(config, s.mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d)); err != nil {
		return nil, err
	}
	if s.usage, err = metrics.NewForConfig(config); err != nil {
		return nil, err
	}
	s.versions = custom_metrics.NewAvailableAPIsGetter(d)
	s.custom = custom_metrics.NewForConfig(config, s.mapper, s.versions)
	s.external, err = external_metrics.NewForConfig(config)
	return s, err
}

// Get implements Targets. Of several versions of a kind the first that answers
// is taken.
func (s *Served) Get(ctx context.Context, namespace string, target autoscalingv2.CrossVersionObjectReference) (*autoscalingv1.Scale, schema.GroupResource, error) {
	gv, err := schema.ParseGroupVersion(target.APIVersion)
	if err != nil {
		return nil, schema.GroupResource{}, err
	}
	kind := schema.GroupKind{Group: gv.Group, Kind: target.Kind}
	mappings, err := s.mapper.RESTMappings(kind)
	if meta.IsNoMatchError(err) { // it may be served since
		s.mapper.Reset()
		mappings, err = s.mapper.RESTMappings(kind)
	}
	if err != nil {
		return nil, schema.GroupResource{}, err
	}
	first := errors.New("unrecognized resource")
	for i, mapping := range mappings {
		resource := mapping.Resource.GroupResource()
		found, err := s.scales.Scales(namespace).Get(ctx, resource, target.Name, metav1.GetOptions{})
		if err == nil {
			return found, resource, nil
		}
		if i == 0 {
			first = err
		}
	}
	return nil, schema.GroupResource{}, first
}

// Update implements Targets.
func (s *Served) Update(ctx context.Context, resource schema.GroupResource, scale *autoscalingv1.Scale) error {
	_, err := s.scales.Scales(scale.Namespace).Update(ctx, resource, scale, metav1.UpdateOptions{})
	return err
}

// Measure implements Metrics.
func (s *Served) Measure(ctx context.Context, namespace string, metric *autoscalingv2.MetricSpec, selector labels.Selector) plan.Measured {
	var out plan.Measured
	switch metric.Type {
	case autoscalingv2.ResourceMetricSourceType:
		out.Pods, out.Err = s.resource(ctx, namespace, metric.Resource.Name, "", selector)
	case autoscalingv2.ContainerResourceMetricSourceType:
		out.Pods, out.Err = s.resource(ctx, namespace, metric.ContainerResource.Name, metric.ContainerResource.Container, selector)
	case autoscalingv2.PodsMetricSourceType:
		out.Pods, out.Err = s.pods(namespace, metric.Pods.Metric, selector)
	case autoscalingv2.ObjectMetricSourceType:
		out.Values, out.Err = s.object(namespace, metric.Object)
	case autoscalingv2.ExternalMetricSourceType:
		out.Values, out.Err = s.outside(namespace, metric.External.Metric)
	}
	return out
}

// resource is what the pods, or one container of each, use.
func (s *Served) resource(ctx context.Context, namespace string, resource corev1.ResourceName, container string, selector labels.Selector) (map[string]plan.Value, error) {
	list, err := s.usage.PodMetricses(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from resource metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("no metrics returned from resource metrics API")
	}
	out := make(map[string]plan.Value, len(list.Items))
	for i := range list.Items {
		pod := &list.Items[i]
		if used, known := usedBy(pod, resource, container); known {
			out[pod.Name] = plan.Value{Milli: used, Time: pod.Timestamp.Time, Window: pod.Window.Duration}
		}
	}
	return out, nil
}

// usedBy is what a pod uses if that is known of each container that is asked for.
func usedBy(pod *metricsv1beta1.PodMetrics, resource corev1.ResourceName, container string) (int64, bool) {
	var used int64
	found := false
	for _, c := range pod.Containers {
		if container != "" && c.Name != container {
			continue
		}
		q, known := c.Usage[resource]
		if !known {
			return 0, false
		}
		found = true
		used += q.MilliValue()
	}
	return used, found
}

// refresh lets the next question find out again which custom metrics there are.
func (s *Served) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.clock.Now(); now.Sub(s.looked) >= Period {
		s.versions.Invalidate()
		s.looked = now
	}
}

func (s *Served) pods(namespace string, metric autoscalingv2.MetricIdentifier, selector labels.Selector) (map[string]plan.Value, error) {
	of, err := metav1.LabelSelectorAsSelector(metric.Selector)
	if err != nil {
		return nil, err
	}
	s.refresh()
	list, err := s.custom.NamespacedMetrics(namespace).GetForObjects(schema.GroupKind{Kind: "Pod"}, selector, metric.Name, of)
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("no metrics returned from custom metrics API")
	}
	out := make(map[string]plan.Value, len(list.Items))
	for _, m := range list.Items {
		window := unsaidWindow
		if m.WindowSeconds != nil {
			window = time.Duration(*m.WindowSeconds) * time.Second
		}
		out[m.DescribedObject.Name] = plan.Value{Milli: m.Value.MilliValue(), Time: m.Timestamp.Time, Window: window}
	}
	return out, nil
}

func (s *Served) object(namespace string, metric *autoscalingv2.ObjectMetricSource) ([]int64, error) {
	of, err := metav1.LabelSelectorAsSelector(metric.Metric.Selector)
	if err != nil {
		return nil, err
	}
	s.refresh()
	kind := schema.FromAPIVersionAndKind(metric.DescribedObject.APIVersion, metric.DescribedObject.Kind).GroupKind()
	where, name := s.custom.NamespacedMetrics(namespace), metric.DescribedObject.Name
	if kind == (schema.GroupKind{Kind: "Namespace"}) {
		// Its own namespace: an autoscaler sees no other.
		where, name = s.custom.RootScopedMetrics(), namespace
	}
	value, err := where.GetForObject(kind, name, metric.Metric.Name, of)
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	return []int64{value.Value.MilliValue()}, nil
}

func (s *Served) outside(namespace string, metric autoscalingv2.MetricIdentifier) ([]int64, error) {
	of, err := metav1.LabelSelectorAsSelector(metric.Selector)
	if err != nil {
		return nil, err
	}
	list, err := s.external.NamespacedMetrics(namespace).List(metric.Name, of)
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from external metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("no metrics returned from external metrics API")
	}
	out := make([]int64, len(list.Items))
	for i := range list.Items {
		out[i] = list.Items[i].Value.MilliValue()
	}
	return out, nil
}
