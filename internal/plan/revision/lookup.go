package revision

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TemplateOf is the template of the revision of that name, nil when there is
// none that can be read.
func TemplateOf(revisions []*appsv1.ControllerRevision, name string) *corev1.PodTemplateSpec {
	rev := Named(revisions, name)
	if rev == nil {
		return nil
	}
	template, err := Template(rev)
	if err != nil {
		return nil
	}
	return template
}
