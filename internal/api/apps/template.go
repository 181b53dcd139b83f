package apps

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

var (
	spec   = field.NewPath("spec")
	status = field.NewPath("status")
)

// replicated checks the selector and the template of Deployments and ReplicaSets.
// Upstream speaks of deployments in both.
func replicated(f *validation.Findings, s *metav1.LabelSelector, t *corev1.PodTemplateSpec) {
	if s == nil {
		f.Required(spec.Child("selector"), "")
	} else {
		f.Selector(s, spec.Child("selector"))
		if emptySelector(s) {
			f.Invalid(spec.Child("selector"), s, "empty selector is invalid for deployment")
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		f.Invalid(spec.Child("selector"), s, "invalid label selector")
		return
	}
	p := spec.Child("template")
	if !selector.Empty() {
		matching(f, p, selector, t)
	}
	f.PodTemplate(p, t)
	f.Endless(p, t, "ReplicaSet")
}

// matching requires that the selector of a workload finds its own pods.
func matching(f *validation.Findings, p *field.Path, s labels.Selector, t *corev1.PodTemplateSpec) {
	if !s.Matches(labels.Set(t.Labels)) {
		f.Invalid(p.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`")
	}
}

func emptySelector(s *metav1.LabelSelector) bool {
	return s != nil && len(s.MatchLabels)+len(s.MatchExpressions) == 0
}

// deref is the number at n, or 0.
func deref(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}

// selectorText is a selector as the scale subresource and tables show it.
func selectorText(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return "<invalid>"
	}
	return selector.String()
}
