package statefulset

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// badOverrides says why the overrides that are asked for cannot be used.
func (f Facts) badOverrides() string {
	if f.OverridesError != "" {
		return f.OverridesError
	}
	selector, err := metav1.LabelSelectorAsSelector(f.Set.Spec.Selector)
	if err == nil {
		err = f.Overrides.Check(&f.Set.Spec.Template, selector)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Rendered is the template of a revision as it is for an ordinal, nil when it
// cannot be told.
func (f Facts) Rendered(revision string, ordinal int) *corev1.PodTemplateSpec {
	if f.Template == nil {
		return nil
	}
	template := f.Template(revision)
	if template == nil {
		return nil
	}
	rendered, err := f.Overrides.Apply(template, ordinal)
	if err != nil {
		return nil
	}
	return rendered
}
