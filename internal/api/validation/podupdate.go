package validation

import (
	"fmt"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/equal"
)

// changeable lists the fields of a pod's spec that users may change.
const changeable = "`spec.containers[*].image`," +
	"`spec.initContainers[*].image`," +
	"`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// PodUpdate checks a change of a pod through its main resource.
func PodUpdate(pod, old *corev1.Pod) field.ErrorList {
	c := changedPod(pod, old)
	c.metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	c.pod(pod)
	c.fixedAnnotations(pod, old)
	if !c.sameContainers(specPath.Child("containers"), pod.Spec.Containers, old.Spec.Containers) ||
		!c.sameContainers(specPath.Child("initContainers"), pod.Spec.InitContainers, old.Spec.InitContainers) ||
		!c.deadlineUpdate(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds) {
		return c.list
	}
	c.addedTolerations(pod.Spec.Tolerations, old.Spec.Tolerations)
	c.removedGates(pod.Spec.SchedulingGates, old.Spec.SchedulingGates)
	if equal.Semantic(&pod.Spec, &old.Spec) {
		return c.list
	}
	rest := withoutChangeable(&pod.Spec, &old.Spec)
	if len(old.Spec.SchedulingGates) > 0 {
		c.gatedUpdate(rest, &old.Spec)
	}
	if !equal.Semantic(rest, &old.Spec) {
		c.forbidden(specPath, fmt.Sprintf("pod updates may not change fields other than %s\n%v", changeable, diff.Diff(UntaggedPodSpec(&old.Spec), UntaggedPodSpec(rest))))
	}
	return c.list
}

// changedPod begins the check of a pod that may keep what new ones may not have.
func changedPod(pod, old *corev1.Pod) podCheck {
	return podCheck{
		isPod: true, podName: pod.Name,
		restartsOnResize: restartsOnResize(&old.Spec), devicesOfOwnUsers: devicesOfOwnUsers(&old.Spec),
	}
}

// devicesOfOwnUsers says whether a pod has users of its own and block devices.
func devicesOfOwnUsers(s *corev1.PodSpec) bool {
	devices := false
	eachContainer(s, specPath, func(ctr *corev1.Container, _ *field.Path) { devices = devices || len(ctr.VolumeDevices) > 0 })
	return devices && s.HostUsers != nil && !*s.HostUsers
}

// withoutChangeable copies spec and undoes what may be changed.
func withoutChangeable(spec, old *corev1.PodSpec) *corev1.PodSpec {
	rest := spec.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.SchedulingGates = old.SchedulingGates
	rest.Tolerations = old.Tolerations
	if was, is := old.TerminationGracePeriodSeconds, rest.TerminationGracePeriodSeconds; was != nil && *was < 0 && is != nil && *is == 1 {
		rest.TerminationGracePeriodSeconds = was
	}
	return rest
}

// sameContainers says whether the two lists can be compared one by one.
func (c *podCheck) sameContainers(p *field.Path, list, old []corev1.Container) bool {
	if len(list) != len(old) {
		c.forbidden(p, "pod updates may not add or remove containers")
		return false
	}
	for i := range list {
		c.notEmpty(p.Index(i).Child("image"), list[i].Image)
		c.trimmedImage(p.Index(i), list[i].Image)
	}
	return true
}

// deadlineUpdate lets a deadline appear and come nearer, nothing else.
func (c *podCheck) deadlineUpdate(deadline, old *int64) bool {
	p := specPath.Child("activeDeadlineSeconds")
	switch {
	case deadline == nil && old != nil:
		c.invalid(p, deadline, "must not update from a positive integer to nil value")
	case deadline == nil:
	case *deadline < 0 || *deadline > math.MaxInt32:
		c.invalid(p, *deadline, validation.InclusiveRangeError(0, math.MaxInt32))
		return false
	case old != nil && *old < *deadline:
		c.invalid(p, *deadline, "must be less than or equal to previous value")
		return false
	}
	return true
}

func (c *podCheck) addedTolerations(list, old []corev1.Toleration) {
	p := specPath.Child("tolerations")
	for i := range old {
		if !tolerationKept(&old[i], list) {
			c.forbidden(p, "existing toleration can not be modified except its tolerationSeconds")
			return
		}
	}
	c.tolerations(p, list)
}

func tolerationKept(old *corev1.Toleration, list []corev1.Toleration) bool {
	for i := range list {
		t := &list[i]
		if t.Key == old.Key && t.Operator == old.Operator && t.Value == old.Value && t.Effect == old.Effect {
			return true
		}
	}
	return false
}

func (c *podCheck) removedGates(list, old []corev1.PodSchedulingGate) {
	if len(list) == 0 {
		return
	}
	had := names{}
	for i := range old {
		had.use(old[i].Name)
	}
	for i := range list {
		if !had.has(list[i].Name) {
			c.forbidden(specPath.Child("schedulingGates").Index(i).Child("name"),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", list[i].Name))
		}
	}
}

// fixedAnnotations keeps those that say where a pod came from.
func (c *podCheck) fixedAnnotations(pod, old *corev1.Pod) {
	p := metaPath.Child("annotations")
	for key, was := range old.Annotations {
		if is, ok := pod.Annotations[key]; ok && is == was {
			continue
		}
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			c.forbidden(p.Key(key), "may not remove or update AppArmor annotations")
		}
		if key == corev1.MirrorPodAnnotationKey {
			c.forbidden(p.Key(key), "may not remove or update mirror pod annotation")
		}
	}
	for key := range pod.Annotations {
		if _, had := old.Annotations[key]; had {
			continue
		}
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			c.forbidden(p.Key(key), "may not add AppArmor annotations")
		}
		if key == corev1.MirrorPodAnnotationKey {
			c.forbidden(p.Key(key), "may not add mirror pod annotation")
		}
	}
}
