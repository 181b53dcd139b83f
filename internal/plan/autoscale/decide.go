package autoscale

import (
	"errors"
	"fmt"
	"slices"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Settings are upstream's flags of the controller.
type Settings struct {
	// Tolerance is how far a metric may be off its target before anything happens.
	Tolerance float64
	// DownscaleStabilization is for how long the highest recommendation counts.
	DownscaleStabilization time.Duration
	// CPUInitialization is for how long after its start a pod's use of processors
	// counts only while it is ready.
	CPUInitialization time.Duration
	// InitialReadiness is how soon after its start a pod that is not ready counts
	// as one that has never been.
	InitialReadiness time.Duration
}

// Defaults are upstream's.
var Defaults = Settings{
	Tolerance:              0.1,
	DownscaleStabilization: 5 * time.Minute,
	CPUInitialization:      5 * time.Minute,
	InitialReadiness:       30 * time.Second,
}

// Facts are what a decision is made of.
type Facts struct {
	HPA   *autoscalingv2.HorizontalPodAutoscaler
	Scale *autoscalingv1.Scale
	// Pods are those that the scale selects.
	Pods []*corev1.Pod
	// Autoscalers are all those that select some of these pods.
	Autoscalers []types.NamespacedName
	// Measured has an entry for each metric of the spec.
	Measured []Measured
	Memory   Memory
	Settings Settings
	Now      time.Time
}

// Event is one to record about the autoscaler.
type Event struct{ Type, Reason, Message string }

// Plan is a decision.
type Plan struct {
	// Rescale says that the target is to be told to have Replicas.
	Rescale  bool
	Replicas int32

	hpa     *autoscalingv2.HorizontalPodAutoscaler // a copy, whose status changes
	current int32
	reason  string
	metrics []autoscalingv2.MetricStatus
	failed  bool // no number was found
	events  []Event
	memory  Memory
	now     time.Time
}

// Outcome is what is left to do.
type Outcome struct {
	Status  autoscalingv2.HorizontalPodAutoscalerStatus
	Changed bool
	Events  []Event
	Memory  Memory
}

// Look tells whether metrics decide over a target, and which pods it selects.
func Look(hpa *autoscalingv2.HorizontalPodAutoscaler, scale *autoscalingv1.Scale) (selector labels.Selector, needed bool) {
	current := scale.Spec.Replicas
	if current == 0 || current > hpa.Spec.MaxReplicas || current < minimum(hpa) || scale.Status.Selector == "" {
		return nil, false
	}
	selector, err := labels.Parse(scale.Status.Selector)
	return selector, err == nil
}

// Decide decides.
func Decide(f Facts) Plan {
	p := Plan{hpa: f.HPA.DeepCopy(), current: f.Scale.Spec.Replicas, memory: f.Memory.since(f.Now), now: f.Now}
	p.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	if len(p.memory.Recommendations) == 0 {
		p.memory.recommend(p.current, f.Now)
	}
	least, most := minimum(f.HPA), f.HPA.Spec.MaxReplicas
	p.Replicas, p.Rescale = p.current, true
	switch {
	case p.current == 0:
		p.Rescale = false
		p.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		p.forget(autoscalingv2.ScaledToZero)
	case p.current > most:
		p.reason, p.Replicas = "Current number of replicas above Spec.MaxReplicas", most
	case p.current < least:
		p.reason, p.Replicas = "Current number of replicas below Spec.MinReplicas", least
	default:
		p.byMetrics(f)
	}
	return p
}

func minimum(hpa *autoscalingv2.HorizontalPodAutoscaler) int32 {
	return ptr.Deref(hpa.Spec.MinReplicas, 1)
}

// byMetrics finds the number that the metrics ask for.
func (p *Plan) byMetrics(f Facts) {
	wanted, metric, err := p.compute(f)
	if err != nil && wanted < 0 {
		p.failed, p.Rescale = true, false
		p.events = append(p.events, Event{corev1.EventTypeWarning, "FailedComputeMetricsReplicas", err.Error()})
		return
	}
	switch {
	case wanted > p.current:
		p.reason = metric + " above target"
	case wanted < p.current:
		p.reason = "All metrics below target"
	}
	p.Replicas = p.normalize(f, wanted)
	p.Rescale = p.Replicas != p.current
}

// compute returns the largest of what the metrics ask for and the metric that
// does. The number is negative when there is none.
func (p *Plan) compute(f Facts) (int32, string, error) {
	if err := p.checkSelector(f); err != nil {
		return -1, "", err
	}
	p.metrics = make([]autoscalingv2.MetricStatus, len(f.HPA.Spec.Metrics))
	var (
		wanted  int32
		metric  string
		invalid int
		first   error
		because autoscalingv2.HorizontalPodAutoscalerCondition
	)
	for i := range f.HPA.Spec.Metrics {
		one := proposal{facts: &f, spec: &f.HPA.Spec.Metrics[i], measured: f.Measured[i]}
		replicas, name, err := one.replicas()
		if err != nil {
			p.events = append(p.events, Event{corev1.EventTypeWarning, one.failure, one.cause.Error()})
			if invalid++; first == nil {
				first = err
				because = autoscalingv2.HorizontalPodAutoscalerCondition{
					Reason: one.failure, Message: fmt.Sprintf("the HPA was unable to compute the replica count: %v", one.cause),
				}
			}
			continue
		}
		p.metrics[i] = one.status
		if wanted == 0 || replicas > wanted {
			wanted, metric = replicas, name
		}
	}
	total := len(f.HPA.Spec.Metrics)
	if first != nil {
		first = fmt.Errorf("invalid metrics (%d invalid out of %d), first error is: %w", invalid, total, first)
	}
	// What cannot be seen may be busy: then nothing is taken away.
	if invalid >= total || invalid > 0 && wanted < p.current {
		p.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, because.Reason, because.Message)
		if first == nil {
			first = errors.New("no metrics are listed")
		}
		return -1, "", first
	}
	p.set(autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from "+metric)
	return wanted, metric, first
}

// checkSelector says what is wrong with what the scale selects.
func (p *Plan) checkSelector(f Facts) error {
	fail := func(reason, condition, message, event string) error {
		p.events = append(p.events, Event{corev1.EventTypeWarning, event, message})
		p.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, reason, condition)
		return errors.New(message)
	}
	text := f.Scale.Status.Selector
	if text == "" {
		return fail("InvalidSelector", "the HPA target's scale is missing a selector", "selector is required", "SelectorRequired")
	}
	if _, err := labels.Parse(text); err != nil {
		message := fmt.Sprintf("couldn't convert selector into a corresponding internal selector object: %v", err)
		return fail("InvalidSelector", message, message, "InvalidSelector")
	}
	if len(f.Autoscalers) > 1 {
		// Upstream prints the pairs so, the name first.
		var all []struct{ Name, Namespace string }
		for _, a := range f.Autoscalers {
			all = append(all, struct{ Name, Namespace string }{a.Name, a.Namespace})
		}
		message := fmt.Sprintf("pods by selector %v are controlled by multiple HPAs: %v", text, all)
		return fail("AmbiguousSelector", message, message, "AmbiguousSelector")
	}
	return nil
}

// Unreachable is the outcome when the target's scale could not be read.
func Unreachable(hpa *autoscalingv2.HorizontalPodAutoscaler, memory Memory, cause error, now time.Time) Outcome {
	p := Plan{hpa: hpa.DeepCopy(), memory: memory, now: now}
	p.events = []Event{{corev1.EventTypeWarning, "FailedGetScale", cause.Error()}}
	p.set(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale", fmt.Sprintf("the HPA controller was unable to get the target's current scale: %v", cause))
	return p.outcome(hpa)
}

// Finish is the outcome when the target has been told what it was to be told;
// refused is why it did not take it.
func (p Plan) Finish(hpa *autoscalingv2.HorizontalPodAutoscaler, refused error) Outcome {
	p.events = slices.Clone(p.events)
	desired, last := p.hpa.Status.DesiredReplicas, p.hpa.Status.LastScaleTime
	switch {
	case p.failed:
	case p.Rescale && refused != nil:
		p.events = append(p.events, Event{corev1.EventTypeWarning, "FailedRescale", fmt.Sprintf("New size: %d; reason: %s; error: %v", p.Replicas, p.reason, refused)})
		p.set(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedUpdateScale", fmt.Sprintf("the HPA controller was unable to update the target scale: %v", refused))
	case p.Rescale:
		p.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededRescale", fmt.Sprintf("the HPA controller was able to update the target scale to %d", p.Replicas))
		p.events = append(p.events, Event{corev1.EventTypeNormal, "SuccessfulRescale", fmt.Sprintf("New size: %d; reason: %s", p.Replicas, p.reason)})
		if p.hpa.Spec.Behavior != nil {
			p.memory.changed(p.Replicas-p.current, p.now)
		}
		p.forget(autoscalingv2.ScaledToZero)
		at := metav1.NewTime(p.now)
		desired, last = p.Replicas, &at
	default:
		desired = p.current
	}
	p.hpa.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		CurrentReplicas: p.current, DesiredReplicas: desired, LastScaleTime: last,
		CurrentMetrics: p.metrics, Conditions: p.hpa.Status.Conditions,
	}
	return p.outcome(hpa)
}

func (p *Plan) outcome(before *autoscalingv2.HorizontalPodAutoscaler) Outcome {
	return Outcome{
		Status: p.hpa.Status, Changed: !equality.Semantic.DeepEqual(p.hpa.Status, before.Status),
		Events: p.events, Memory: p.memory,
	}
}

// set sets a condition.
func (p *Plan) set(kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) {
	all := p.hpa.Status.Conditions
	i := slices.IndexFunc(all, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == kind })
	if i < 0 {
		all = append(all, autoscalingv2.HorizontalPodAutoscalerCondition{Type: kind})
		i = len(all) - 1
	}
	if all[i].Status != status {
		all[i].LastTransitionTime = metav1.NewTime(p.now)
	}
	all[i].Status, all[i].Reason, all[i].Message = status, reason, message
	p.hpa.Status.Conditions = all
}

func (p *Plan) forget(kind autoscalingv2.HorizontalPodAutoscalerConditionType) {
	p.hpa.Status.Conditions = slices.DeleteFunc(p.hpa.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == kind })
}
