package autoscale

import (
	"fmt"
	"slices"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// external is an autoscaler of a metric that is shared by all replicas.
func external(least, most int32, behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		MinReplicas: &least, MaxReplicas: most, Behavior: behavior,
		Metrics: []autoscalingv2.MetricSpec{{
			Type: autoscalingv2.ExternalMetricSourceType,
			External: &autoscalingv2.ExternalMetricSource{Target: autoscalingv2.MetricTarget{
				Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(1, resource.DecimalSI),
			}},
		}},
	}}
}

func drawRules(t *rapid.T, name string) *autoscalingv2.HPAScalingRules {
	policy := rapid.Custom(func(t *rapid.T) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{
			Type:          rapid.SampledFrom([]autoscalingv2.HPAScalingPolicyType{autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy}).Draw(t, "type"),
			Value:         rapid.Int32Range(1, 300).Draw(t, "value"),
			PeriodSeconds: rapid.Int32Range(1, 1800).Draw(t, "period"),
		}
	})
	return &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: ptr.To(rapid.Int32Range(0, 600).Draw(t, name+" window")),
		SelectPolicy: ptr.To(rapid.SampledFrom([]autoscalingv2.ScalingPolicySelect{
			autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect,
		}).Draw(t, name+" select")),
		Policies: rapid.SliceOfN(policy, 1, 3).Draw(t, name+" policies"),
	}
}

// Whatever a metric does: the number of replicas stays within its bounds, goes
// only where some recent recommendation pointed, is never changed in a
// direction that is switched off, and each plan says all there is to say.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := rapid.Int32Range(1, 20).Draw(t, "min")
		most := rapid.Int32Range(least, 200).Draw(t, "max")
		var behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
		if rapid.Bool().Draw(t, "rules") {
			behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: drawRules(t, "up"), ScaleDown: drawRules(t, "down")}
		}
		hpa := external(least, most, behavior)
		scale := &autoscalingv1.Scale{}
		scale.Status.Selector = "app=web"
		scale.Spec.Replicas = rapid.Int32Range(1, 250).Draw(t, "replicas")
		f := Facts{HPA: hpa, Scale: scale, Settings: Defaults, Now: now}
		for range rapid.IntRange(1, 30).Draw(t, "passes") {
			f.Now = f.Now.Add(time.Duration(rapid.IntRange(1, 120).Draw(t, "later")) * time.Second)
			scale.Status.Replicas = scale.Spec.Replicas
			load := rapid.Int64Range(0, 300).Draw(t, "load")
			f.Measured = []Measured{{Values: []int64{load * 1000}}}
			before := scale.Spec.Replicas
			p := Decide(f)
			if p.Replicas < least || p.Replicas > most {
				t.Fatalf("%d is not within %d and %d", p.Replicas, least, most)
			}
			if p.Rescale != (p.Replicas != before) {
				t.Fatalf("rescale %v from %d to %d", p.Rescale, before, p.Replicas)
			}
			if before >= least && before <= most {
				check(t, f, p, before, int32(load))
			}
			o := p.Finish(f.HPA, nil)
			if len(o.Events) > 0 != p.Rescale || o.Status.CurrentReplicas != before || o.Status.DesiredReplicas != p.Replicas {
				t.Fatalf("%d -> %d: %+v", before, p.Replicas, o)
			}
			f.HPA = f.HPA.DeepCopy()
			f.HPA.Status, f.Memory = o.Status, o.Memory
			scale.Spec.Replicas = p.Replicas
			if n := len(f.Memory.Recommendations); n > 200 {
				t.Fatalf("%d recommendations are remembered", n)
			}
		}
	})
}

func check(t *rapid.T, f Facts, p Plan, before, wanted int32) {
	switch {
	case p.Replicas > before:
		if p.Replicas > max(wanted, slices.MaxFunc(p.memory.Recommendations, func(a, b Recommendation) int { return int(a.Replicas - b.Replicas) }).Replicas) {
			t.Fatalf("%d -> %d, though nobody ever wanted so many", before, p.Replicas)
		}
		if b := f.HPA.Spec.Behavior; b != nil && *b.ScaleUp.SelectPolicy == autoscalingv2.DisabledPolicySelect {
			t.Fatalf("%d -> %d, though it must not grow", before, p.Replicas)
		} else if b == nil && p.Replicas > max(2*before, 4) {
			t.Fatalf("%d -> %d at once", before, p.Replicas)
		}
	case p.Replicas < before:
		if p.Replicas < min(wanted, before) && p.Replicas < minimum(f.HPA) {
			t.Fatalf("%d -> %d", before, p.Replicas)
		}
		if wanted > before {
			t.Fatalf("%d -> %d, though %d are wanted", before, p.Replicas, wanted)
		}
		if b := f.HPA.Spec.Behavior; b != nil && *b.ScaleDown.SelectPolicy == autoscalingv2.DisabledPolicySelect {
			t.Fatalf("%d -> %d, though it must not shrink", before, p.Replicas)
		}
	}
}

// A load that stays is answered within ten minutes, and then nothing changes
// any more.
func TestSteadyLoadConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hpa := external(1, 100, nil)
		scale := &autoscalingv1.Scale{}
		scale.Status.Selector = "app=web"
		scale.Spec.Replicas = rapid.Int32Range(1, 100).Draw(t, "replicas")
		load := rapid.Int64Range(1, 100).Draw(t, "load")
		f := Facts{HPA: hpa, Scale: scale, Settings: Defaults, Now: now, Measured: []Measured{{Values: []int64{load * 1000}}}}
		for pass := range 60 {
			f.Now = f.Now.Add(15 * time.Second)
			scale.Status.Replicas = scale.Spec.Replicas
			p := Decide(f)
			o := p.Finish(f.HPA, nil)
			if pass > 40 && (o.Changed || p.Rescale) {
				t.Fatalf("pass %d: %d -> %d: %+v", pass, scale.Spec.Replicas, p.Replicas, o.Status)
			}
			f.HPA = f.HPA.DeepCopy()
			f.HPA.Status, f.Memory, scale.Spec.Replicas = o.Status, o.Memory, p.Replicas
		}
		if n := float64(scale.Spec.Replicas); float64(load)/n > 1.1 || float64(load)/n < 0.9 {
			t.Fatalf("%d replicas for a load of %d", scale.Spec.Replicas, load)
		}
	})
}

// Pods of which nothing is known never turn growing into shrinking or the other
// way round.
func TestMissingPodsNeverTurnADecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent := rapid.Int32Range(10, 200).Draw(t, "target")
		n := rapid.IntRange(1, 20).Draw(t, "pods")
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		f := Facts{HPA: hpa, Scale: &autoscalingv1.Scale{}, Settings: Defaults, Now: now}
		f.Scale.Spec.Replicas = int32(n)
		measured := Measured{Pods: map[string]Value{}}
		var known []int64
		for i := range n {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}}
			pod.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}}}
			pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodRunning, corev1.PodPending, corev1.PodFailed}).Draw(t, "phase")
			pod.Status.StartTime = &metav1.Time{Time: now.Add(-time.Hour)}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			if rapid.Bool().Draw(t, "measured") {
				v := rapid.Int64Range(0, 4000).Draw(t, "use")
				measured.Pods[pod.Name] = Value{Milli: v, Time: now}
				if pod.Status.Phase == corev1.PodRunning {
					known = append(known, v)
				}
			}
			f.Pods = append(f.Pods, pod)
		}
		got, _, err := f.ofResource(measured, &autoscalingv2.MetricTarget{AverageUtilization: &percent}, corev1.ResourceCPU, "")
		if (err != nil) != (len(known) == 0) {
			t.Fatalf("%v with %d pods known", err, len(known))
		}
		if err != nil {
			return
		}
		var used int64
		for _, v := range known {
			used += v
		}
		ratio := float64(used*100/(int64(len(known))*1000)) / float64(percent)
		unknown := n - len(known)
		if unknown > 0 && (ratio > 1 && got < int32(len(known)) || ratio < 1 && got > int32(n)) {
			t.Fatalf("ratio %.2f, %d of %d pods known: %d", ratio, len(known), n, got)
		}
	})
}
