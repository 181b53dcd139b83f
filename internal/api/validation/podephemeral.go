package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodEphemeralContainersUpdate checks containers that are added to a running
// pod: those that it has stay as they are.
func PodEphemeralContainersUpdate(pod, old *corev1.Pod) field.ErrorList {
	if _, static := old.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	c := changedPod(pod, old)
	c.metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	c.pod(pod)
	c.fixedAnnotations(pod, old)
	p := specPath.Child("ephemeralContainers")
	// A patch may change the order, so each is looked up by its name.
	is := map[string]*corev1.EphemeralContainer{}
	for i := range pod.Spec.EphemeralContainers {
		is[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	for _, was := range old.Spec.EphemeralContainers {
		if now, ok := is[was.Name]; !ok {
			c.forbidden(p, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name))
		} else if !equality.Semantic.DeepEqual(was, *now) {
			c.forbidden(p, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, diff.Diff(Untagged(was), Untagged(*now))))
		}
	}
	return c.list
}
