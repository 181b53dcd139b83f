package validation

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/qos"
)

const onlyCompute = "only cpu and memory resources are mutable"

// PodResize checks a change of what the containers of a pod may use.
func PodResize(pod, old *corev1.Pod) field.ErrorList {
	root := field.NewPath("")
	if _, static := old.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return field.ErrorList{field.Forbidden(root, "static pods cannot be resized")}
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(root, "windows pods cannot be resized")}
	}
	c := changedPod(pod, old)
	c.metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	c.pod(pod)
	if qosOf(old) != qos.Class(pod) {
		c.invalid(specPath, pod.Status.QOSClass, "Pod QOS Class may not change as a result of resizing")
	}
	if !resizable(old) {
		c.forbidden(specPath, "Pod running on node without support for resize")
	}
	rest := pod.Spec.DeepCopy()
	if hasResources(pod) || hasResources(old) {
		c.resizeWhole(pod, old, rest)
	}
	if len(old.Status.NodeAllocatableResourceClaimStatuses) > 0 {
		c.forbidden(specPath, "pods with node allocatable resource claims cannot be resized")
	}
	if !c.sameNames(pod, old) {
		return c.list
	}
	for i := range old.Spec.InitContainers {
		c.nothingRemoved(specPath.Child("initContainers").Index(i).Child("resources"), &pod.Spec.InitContainers[i].Resources, &old.Spec.InitContainers[i].Resources)
	}
	for i := range old.Spec.Containers {
		c.nothingRemoved(specPath.Child("containers").Index(i).Child("resources"), &pod.Spec.Containers[i].Resources, &old.Spec.Containers[i].Resources)
	}
	c.onlyComputeResized(rest, &old.Spec)
	if len(c.list) == 0 && !equality.Semantic.DeepEqual(*rest, old.Spec) {
		c.forbidden(specPath, onlyCompute)
	}
	return c.list
}

func qosOf(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	return qos.Class(pod)
}

// resizable says whether the node of a pod has shown that it can resize: it
// reports what its running containers have.
func resizable(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.State.Running != nil {
			return s.Resources != nil
		}
	}
	return true
}

func hasResources(pod *corev1.Pod) bool {
	r := pod.Spec.Resources
	return r != nil && len(r.Requests)+len(r.Limits) > 0
}

// resizeWhole checks the resources of the pod as a whole and undoes in rest
// what may be changed of them.
func (c *podCheck) resizeWhole(pod, old *corev1.Pod, rest *corev1.PodSpec) {
	p := specPath.Child("resources")
	is, was := pod.Spec.Resources, old.Spec.Resources
	if was != nil && is == nil {
		c.forbidden(p, "pod-level resources cannot be removed")
		return
	}
	if was != nil && removed(is.Requests, was.Requests) {
		c.forbidden(p.Child("requests"), "pod-level resource requests cannot be removed")
	}
	if was != nil && removed(is.Limits, was.Limits) {
		c.forbidden(p.Child("limits"), "pod-level resource limits cannot be removed")
	}
	if r := rest.Resources; r != nil {
		var before corev1.ResourceRequirements
		if was != nil {
			before = *was
		}
		r.Requests, r.Limits = computeOf(r.Requests, before.Requests), computeOf(r.Limits, before.Limits)
		if was == nil && len(r.Requests)+len(r.Limits)+len(r.Claims) == 0 {
			rest.Resources = nil
		}
	}
	if !equality.Semantic.DeepEqual(rest.Resources, was) {
		c.forbidden(specPath, "only cpu and memory resources are mutable at pod-level")
	}
}

// sameNames says whether the containers can be compared one by one.
func (c *podCheck) sameNames(pod, old *corev1.Pod) bool {
	before := len(c.list)
	for _, l := range []struct {
		name    string
		is, was []corev1.Container
	}{
		{"containers", pod.Spec.Containers, old.Spec.Containers},
		{"initContainers", pod.Spec.InitContainers, old.Spec.InitContainers},
	} {
		if len(l.is) != len(l.was) {
			c.forbidden(specPath.Child(l.name), l.name+" may not be added or removed on resize")
			continue
		}
		for i := range l.is {
			if l.is[i].Name != l.was[i].Name {
				c.forbidden(specPath.Child(l.name).Index(i).Child("name"), l.name+" may not be renamed or reordered on resize")
			}
		}
	}
	return len(c.list) == before
}

func (c *podCheck) nothingRemoved(p *field.Path, is, was *corev1.ResourceRequirements) {
	if removed(is.Requests, was.Requests) {
		c.forbidden(p.Child("requests"), "resource requests cannot be removed")
	}
	if removed(is.Limits, was.Limits) {
		c.forbidden(p.Child("limits"), "resource limits cannot be removed")
	}
}

func removed(is, was corev1.ResourceList) bool {
	for name := range was {
		if _, ok := is[name]; !ok {
			return true
		}
	}
	return false
}

// onlyComputeResized undoes in rest the changes of CPU and memory and refuses others.
func (c *podCheck) onlyComputeResized(rest, old *corev1.PodSpec) {
	for i := range rest.Containers {
		ctr, was := &rest.Containers[i], &old.Containers[i]
		undoCompute(ctr, was)
		if !equality.Semantic.DeepEqual(*ctr, *was) {
			c.forbidden(specPath, onlyCompute)
		}
	}
	for i := range rest.InitContainers {
		ctr, was := &rest.InitContainers[i], &old.InitContainers[i]
		p := specPath.Child("initContainers").Index(i)
		changed := !equality.Semantic.DeepEqual(*ctr, *was)
		undoCompute(ctr, was)
		if !equality.Semantic.DeepEqual(*ctr, *was) {
			c.forbidden(p, "only cpu and memory resources for init or sidecar containers are mutable")
		}
		if !changed || ctr.RestartPolicy != nil && *ctr.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			continue
		}
		for _, r := range ctr.ResizePolicy {
			if r.RestartPolicy == corev1.RestartContainer {
				c.forbidden(p, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized")
			}
		}
	}
}

// undoCompute drops claims too: a container with claims cannot be resized.
func undoCompute(ctr, was *corev1.Container) {
	ctr.Resources = corev1.ResourceRequirements{
		Limits:   computeOf(ctr.Resources.Limits, was.Resources.Limits),
		Requests: computeOf(ctr.Resources.Requests, was.Resources.Requests),
	}
}

// computeOf is list with the CPU and memory of was.
func computeOf(list, was corev1.ResourceList) corev1.ResourceList {
	if list == nil && was == nil {
		return nil
	}
	out := corev1.ResourceList{}
	maps.Copy(out, list)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		delete(out, name)
		if q, ok := was[name]; ok {
			out[name] = q
		}
	}
	return out
}

// restartsOnResize says whether an init container that ends is to be restarted
// when it is resized.
func restartsOnResize(s *corev1.PodSpec) bool {
	for i := range s.InitContainers {
		ctr := &s.InitContainers[i]
		if ctr.RestartPolicy != nil && *ctr.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			continue
		}
		for _, r := range ctr.ResizePolicy {
			if r.RestartPolicy == corev1.RestartContainer {
				return true
			}
		}
	}
	return false
}
