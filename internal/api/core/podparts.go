package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

// podParts are what a running pod can still be given.
func podParts() []kind.Part {
	return []kind.Part{
		kind.PartOf("ephemeralcontainers", onlyEphemeralContainers, validation.PodEphemeralContainersUpdate),
		kind.PartOf("resize", onlyResources, validation.PodResize),
	}
}

func onlyEphemeralContainers(p, old *corev1.Pod) {
	wanted := p.Spec.EphemeralContainers
	p.Spec, p.Status = old.Spec, old.Status
	metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
	p.Spec.EphemeralContainers = wanted
}

// onlyResources leaves a pod whose containers are others as it is: validation
// will say so.
func onlyResources(p, old *corev1.Pod) {
	if len(p.Spec.Containers) != len(old.Spec.Containers) || len(p.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return
	}
	whole := p.Spec.Resources
	containers := onlyContainerResources(p.Spec.Containers, old.Spec.Containers)
	initContainers := onlyContainerResources(p.Spec.InitContainers, old.Spec.InitContainers)
	p.Spec, p.Status = old.Spec, old.Status
	metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
	p.Spec.Resources, p.Spec.Containers, p.Spec.InitContainers = whole, containers, initContainers
}

func onlyContainerResources(list, old []corev1.Container) []corev1.Container {
	if len(list) == 0 {
		return list
	}
	out := slices.Clone(old)
	for i := range list {
		if list[i].Name != out[i].Name {
			return list
		}
		out[i].Resources, out[i].ResizePolicy = list[i].Resources, list[i].ResizePolicy
	}
	return out
}
