package all_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

// autoscaler is one of a target that is to have at least least replicas.
func autoscaler(name string, least int32, version, kind string, metrics ...autoscalingv2.MetricSpec) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: version, Kind: kind, Name: name},
		MinReplicas:    ptr.To(least), MaxReplicas: 9, Metrics: metrics,
	}}
}

// conditionOf prints a condition of an autoscaler.
func conditionOf(hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType) string {
	for _, c := range hpa.Status.Conditions {
		if c.Type == kind {
			return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
	}
	return ""
}

// With upstream's rights an autoscaler scales a StatefulSet that says no number
// of its own, and tells what it cannot find out.
func TestAutoscaler(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := alltest.Start(t, alltest.Options{Without: []string{"statefulset"}})
	ctx := t.Context()
	awaitFor(t, "the service account", func(ctx context.Context) bool {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	set := web(1, "100m")
	set.Spec.Replicas = nil
	set, err := c.Client.AppsV1().StatefulSets("default").Create(ctx, set, metav1.CreateOptions{})
	must(t, err)
	hpas := c.Client.AutoscalingV2().HorizontalPodAutoscalers("default")
	_, err = hpas.Create(ctx, autoscaler("web", 3, "apps/v1", "StatefulSet"), metav1.CreateOptions{})
	must(t, err)
	said := func(name string, kind autoscalingv2.HorizontalPodAutoscalerConditionType, want string) {
		t.Helper()
		got := ""
		defer func() {
			if t.Failed() {
				t.Logf("%s says %q", name, got)
			}
		}()
		awaitFor(t, want, func(ctx context.Context) bool {
			hpa, err := hpas.Get(ctx, name, metav1.GetOptions{})
			must(t, err)
			got = conditionOf(hpa, kind)
			return strings.HasPrefix(got, want)
		})
	}
	said("web", autoscalingv2.AbleToScale, "True SucceededRescale: the HPA controller was able to update the target scale to 3")
	set, err = c.Client.AppsV1().StatefulSets("default").Get(ctx, set.Name, metav1.GetOptions{})
	must(t, err)
	if *set.Spec.Replicas != 3 {
		t.Errorf("%d replicas", *set.Spec.Replicas)
	}
	awaitFor(t, "the event", func(ctx context.Context) bool {
		events, err := c.Client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=SuccessfulRescale"})
		must(t, err)
		return len(events.Items) == 1 && events.Items[0].Source.Component == "horizontal-pod-autoscaler" &&
			events.Items[0].Message == "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
	})

	_, err = hpas.Create(ctx, autoscaler("nothing", 1, "apps/v1", "Deployment"), metav1.CreateOptions{})
	must(t, err)
	said("nothing", autoscalingv2.AbleToScale, `False FailedGetScale: the HPA controller was unable to get the target's current scale: deployments.apps "nothing" not found`)
	_, err = hpas.Create(ctx, autoscaler("unheard", 1, "example.org/v1", "Of"), metav1.CreateOptions{})
	must(t, err)
	said("unheard", autoscalingv2.AbleToScale, `False FailedGetScale: the HPA controller was unable to get the target's current scale: no matches for kind "Of" in group "example.org"`)

	// The metrics of pods of which no node tells anything, and kinds of metrics
	// that nobody serves.
	must(t, hpas.Delete(ctx, "web", metav1.DeleteOptions{}))
	_, err = c.Client.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0", Labels: set.Spec.Selector.MatchLabels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	one := resource.NewQuantity(1, resource.DecimalSI)
	for name, m := range map[string]struct {
		metric autoscalingv2.MetricSpec
		want   string
	}{
		"usage": {
			autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: "cpu", Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To(int32(50))},
			}},
			"False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
		},
		"pods": {
			autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "qps"}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: one},
			}},
			"False FailedGetPodsMetric: the HPA was unable to compute the replica count: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
		},
		"object": {
			autoscalingv2.MetricSpec{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{
				DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: "v1", Kind: "Service", Name: "web"},
				Metric:          autoscalingv2.MetricIdentifier{Name: "qps"}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: one},
			}},
			"False FailedGetObjectMetric: the HPA was unable to compute the replica count: unable to get metric qps: Service on default web/unable to fetch metrics from custom metrics API: no custom metrics API",
		},
		"external": {
			autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "queue"}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: one},
			}},
			"False FailedGetExternalMetric: the HPA was unable to compute the replica count: failed to get external metric queue: unable to get external metric default/queue/nil: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)",
		},
	} {
		hpa := autoscaler(name, 1, "apps/v1", "StatefulSet", m.metric)
		hpa.Spec.ScaleTargetRef.Name = set.Name
		_, err := hpas.Create(ctx, hpa, metav1.CreateOptions{})
		must(t, err)
		said(name, autoscalingv2.ScalingActive, m.want)
		must(t, hpas.Delete(ctx, name, metav1.DeleteOptions{}))
	}
}

// A custom kind with a scale is scaled like any other.
func TestAutoscalerOfCustomKind(t *testing.T) {
	h := openHarbour(t)
	client, err := apiextensions.NewForConfig(h.Config)
	must(t, err)
	_, err = client.ApiextensionsV1().CustomResourceDefinitions().Patch(h.ctx, "ships."+fleetGroup, types.JSONPatchType,
		[]byte(`[{"op":"add","path":"/spec/versions/0/subresources","value":{"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}}},
		{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-preserve-unknown-fields","value":true}]`), metav1.PatchOptions{})
	must(t, err)
	ship := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(4)}}}
	ship.SetAPIVersion(fleetGroup + "/v1")
	ship.SetKind("Ship")
	ship.SetName("titanic")
	_, err = h.ships.Create(h.ctx, ship, metav1.CreateOptions{})
	must(t, err)
	h.until("the scale to be served", func() bool {
		_, err := h.ships.Patch(h.ctx, "titanic", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{})
		must(t, err)
		_, err = h.ships.Get(h.ctx, "titanic", metav1.GetOptions{}, "scale")
		return err == nil
	})
	_, err = h.Client.AutoscalingV2().HorizontalPodAutoscalers("default").Create(h.ctx, autoscaler("titanic", 6, fleetGroup+"/v1", "Ship"), metav1.CreateOptions{})
	must(t, err)
	h.until("six", func() bool {
		ship, err := h.ships.Get(h.ctx, "titanic", metav1.GetOptions{})
		must(t, err)
		n, _, err := unstructured.NestedInt64(ship.Object, "spec", "replicas")
		must(t, err)
		return n == 6
	})
}
