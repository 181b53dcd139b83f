package validation

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodTemplate checks the template of a workload.
func (f *findings) PodTemplate(p *field.Path, t *corev1.PodTemplateSpec) {
	f.add(PodTemplateSpec(p, t)...)
}

// Endless requires of a template that its pods run until they are deleted.
// The kind is named in what is said.
func (f *findings) Endless(p *field.Path, t *corev1.PodTemplateSpec, kind string) {
	if t.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		f.add(field.NotSupported(p.Child("spec", "restartPolicy"), t.Spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		f.forbidden(p.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported")
	}
}

// IntOrPercent requires a count or a percentage.
func (f *findings) IntOrPercent(p *field.Path, v intstr.IntOrString) {
	if v.Type == intstr.String {
		f.messages(p, v, validation.IsValidPercent(v.StrVal))
		return
	}
	f.notNegative(p, int64(v.IntVal))
}

// AtMostAll refuses more than 100%.
func (f *findings) AtMostAll(p *field.Path, v intstr.IntOrString) {
	if n, ok := percent(v); ok && n > 100 {
		f.invalid(p, v, "must not be greater than 100%")
	}
}

func percent(v intstr.IntOrString) (int, bool) {
	if v.Type != intstr.String || len(validation.IsValidPercent(v.StrVal)) > 0 {
		return 0, false
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	return n, true
}

// Zero says whether v is 0 or 0%, or no number at all.
func Zero(v intstr.IntOrString) bool {
	if n, ok := percent(v); ok {
		return n == 0
	}
	return v.IntValue() == 0
}

// Count is a number of the status of a workload.
type Count struct {
	Name string
	N    int32
}

// Counts refuses negative counts.
func (f *findings) Counts(p *field.Path, counts ...Count) {
	for _, c := range counts {
		f.notNegative(p.Child(c.Name), int64(c.N))
	}
}

// OptionalCount refuses a negative count where there is one.
func (f *findings) OptionalCount(p *field.Path, n *int32) {
	if n != nil {
		f.notNegative(p, int64(*n))
	}
}

// AtMostReplicas refuses counts above that of all replicas.
func (f *findings) AtMostReplicas(p *field.Path, replicas int32, counts ...Count) {
	for _, c := range counts {
		if c.N > replicas {
			f.invalid(p.Child(c.Name), c.N, "cannot be greater than status.replicas")
		}
	}
}

// NotDecremented refuses a count of collisions below an earlier one.
func (f *findings) NotDecremented(p *field.Path, n, old *int32) {
	if old == nil || n != nil && *n >= *old {
		return
	}
	is := int32(0)
	if n != nil {
		is = *n
	}
	f.invalid(p, is, "cannot be decremented")
}

// ReplicaCounts checks the status of what only keeps a number of pods.
func (f *findings) ReplicaCounts(p *field.Path, replicas, labelled, ready, available int32, observed int64, terminating *int32) {
	all := []Count{
		{"replicas", replicas},
		{"fullyLabeledReplicas", labelled},
		{"readyReplicas", ready},
		{"availableReplicas", available},
	}
	f.Counts(p, all...)
	f.notNegative(p.Child("observedGeneration"), observed)
	f.OptionalCount(p.Child("terminatingReplicas"), terminating)
	f.AtMostReplicas(p, replicas, all[1:]...)
	if available > ready {
		f.invalid(p.Child("availableReplicas"), available, "cannot be greater than readyReplicas")
	}
}
