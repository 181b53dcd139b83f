package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/api/qos"
)

// newPod gives a pod what it has before anyone has looked at it.
func newPod(ctx context.Context, p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qos.Class(p)}
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = []corev1.PodCondition{{
			Type:    corev1.PodScheduled,
			Status:  corev1.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",

			LastTransitionTime: metav1.Now(),
		}}
	}
	for i := range p.Spec.TopologySpreadConstraints {
		if t := &p.Spec.TopologySpreadConstraints[i]; t.LabelSelector != nil {
			addOwnLabels(p, t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn)
		}
	}
	appArmorFields(ctx, p)
	if a := p.Spec.Affinity; a != nil {
		if x := a.PodAffinity; x != nil {
			ownLabels(p, x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
		}
		if x := a.PodAntiAffinity; x != nil {
			ownLabels(p, x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
		}
	}
}

// ownLabels writes the pod's own values of matchLabelKeys and mismatchLabelKeys
// into the selectors of its affinity terms.
func ownLabels(p *corev1.Pod, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
	for i := range required {
		ownLabelsOfTerm(p, &required[i])
	}
	for i := range preferred {
		ownLabelsOfTerm(p, &preferred[i].PodAffinityTerm)
	}
}

func ownLabelsOfTerm(p *corev1.Pod, t *corev1.PodAffinityTerm) {
	if t.LabelSelector == nil {
		return // validation will say that the keys need one
	}
	addOwnLabels(p, t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn)
	addOwnLabels(p, t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn)
}

func addOwnLabels(p *corev1.Pod, s *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator) {
	for _, key := range keys {
		if value, ok := p.Labels[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}
