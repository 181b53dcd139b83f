package warning

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodTemplate warns about the template of a workload.
func PodTemplate(p *field.Path, t *corev1.PodTemplateSpec) []string {
	var w list
	w.pod(p, &t.ObjectMeta, &t.Spec)
	return w
}

// NameForPods warns about the name of a workload from which hostnames are made.
func NameForPods(name string) []string {
	var w list
	if m := validation.IsDNS1123Label(name); len(m) > 0 {
		w.say("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", m)
	}
	return w
}
