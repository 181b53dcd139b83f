package endpointslice

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/endpoint"
)

func (c *controller) observe(ctx context.Context, service *corev1.Service) (endpoint.State, error) {
	state := endpoint.State{Service: service, Zones: map[string]string{}}
	var err error
	state.Pods, err = loop.List[*corev1.Pod](ctx, c.env.Cache, &corev1.PodList{}, client.InNamespace(service.Namespace),
		client.MatchingLabelsSelector{Selector: labels.SelectorFromSet(service.Spec.Selector)})
	if err != nil {
		return state, err
	}
	nodes, err := loop.List[*corev1.Node](ctx, c.env.Cache, &corev1.NodeList{})
	if err != nil {
		return state, err
	}
	for _, node := range nodes {
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "" {
			state.Zones[node.Name] = zone
		}
	}
	state.Slices, err = loop.List[*discoveryv1.EndpointSlice](ctx, c.env.Cache, &discoveryv1.EndpointSliceList{},
		client.InNamespace(service.Namespace), client.MatchingFields{serviceIndex: service.Name})
	return state, err
}

func onService(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return []reconcile.Request{request(ev.New.GetNamespace(), ev.New.GetName())}
}

// onSlice repairs slices that someone else changed or deleted.
func onSlice(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	o := ev.Object()
	var out []reconcile.Request
	for _, name := range sliceService(o) {
		out = append(out, request(o.GetNamespace(), name))
	}
	return out
}

// onPod wakes the Services that select the pod or did so before.
func onPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	before, _ := ev.Old.(*corev1.Pod)
	after, _ := ev.New.(*corev1.Pod)
	if before != nil && after != nil && !matters(before, after) {
		return nil
	}
	services, err := loop.List[*corev1.Service](ctx, read, &corev1.ServiceList{}, client.InNamespace(ev.Object().GetNamespace()))
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, s := range services {
		if !selects(s) {
			continue
		}
		selector := labels.SelectorFromSet(s.Spec.Selector)
		if (before != nil && endpoint.Counts(before) && selector.Matches(labels.Set(before.Labels))) ||
			(after != nil && endpoint.Counts(after) && selector.Matches(labels.Set(after.Labels))) {
			out = append(out, request(s.Namespace, s.Name))
		}
	}
	return out
}

// matters says that the change can show in an endpoint.
func matters(before, after *corev1.Pod) bool {
	return endpoint.Counts(before) != endpoint.Counts(after) ||
		endpoint.Ready(before) != endpoint.Ready(after) ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
		before.Spec.NodeName != after.Spec.NodeName ||
		!equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
		!equality.Semantic.DeepEqual(before.Status.PodIPs, after.Status.PodIPs)
}

func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	var before, after string
	if ev.Old != nil {
		before = ev.Old.GetLabels()[corev1.LabelTopologyZone]
	}
	if ev.New != nil {
		after = ev.New.GetLabels()[corev1.LabelTopologyZone]
	}
	if before == after {
		return nil
	}
	services := &corev1.ServiceList{}
	if err := read.List(ctx, services); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range services.Items {
		out = append(out, request(services.Items[i].Namespace, services.Items[i].Name))
	}
	return out
}
