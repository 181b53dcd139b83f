// Package resize decides on changes of the resources of a pod that runs: what
// it was given so far, whether the node can give what it asks for now, and what
// the events say of it.
package resize

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	podresource "k8s.io/component-helpers/resource"

	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/schedule"
)

// Allocation is what a pod was given: the resources of the pod as a whole, and
// of each container by name.
type Allocation struct {
	Pod        *corev1.ResourceRequirements
	Containers map[string]corev1.ResourceRequirements
}

// Of is what the pod asks for.
func Of(pod *corev1.Pod) Allocation {
	a := Allocation{Pod: pod.Spec.Resources, Containers: map[string]corev1.ResourceRequirements{}}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			a.Containers[list[i].Name] = list[i].Resources
		}
	}
	return a
}

// FromStatus is what an earlier agent gave the pod; what its status does not say
// is as the pod asks for it.
func FromStatus(pod *corev1.Pod) Allocation {
	a := Of(pod)
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			s := &list[i]
			if asked, known := a.Containers[s.Name]; known && s.Resources != nil && s.State.Running != nil {
				given := *s.Resources.DeepCopy()
				given.Claims = asked.Claims
				if s.AllocatedResources != nil {
					given.Requests = s.AllocatedResources.DeepCopy()
				}
				a.Containers[s.Name] = given
			}
		}
	}
	if pod.Spec.Resources != nil && pod.Status.Resources != nil {
		a.Pod = pod.Status.Resources.DeepCopy()
	}
	return a
}

// Wanted is true when the pod asks for other resources than it was given.
func (a Allocation) Wanted(pod *corev1.Pod) bool {
	now := Of(pod)
	return !equality.Semantic.DeepEqual(a.Pod, now.Pod) ||
		!maps.EqualFunc(a.Containers, now.Containers, func(x, y corev1.ResourceRequirements) bool { return equality.Semantic.DeepEqual(x, y) })
}

// Apply is the pod as it would be if it asked for what it was given.
func (a Allocation) Apply(pod *corev1.Pod) *corev1.Pod {
	if !a.Wanted(pod) {
		return pod
	}
	pod = pod.DeepCopy()
	pod.Spec.Resources = a.Pod
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if given, ok := a.Containers[list[i].Name]; ok {
				list[i].Resources = given
			}
		}
	}
	return pod
}

// Pending is why the node does not give the pod what it asks for.
type Pending struct {
	// Reason is Deferred or Infeasible.
	Reason  string
	Message string
}

// Check says why the pod cannot have what it asks for beside the other pods of
// the node, which count with what they were given. It is nil when it can.
func Check(node *corev1.Node, static bool, pod *corev1.Pod, others []*corev1.Pod) *Pending {
	if static {
		return &Pending{corev1.PodReasonInfeasible, "In-place resize of static-pods is not supported"}
	}
	want := podresource.PodRequests(pod, podresource.PodResourcesOptions{})
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if asked, most := amount(want, name), amount(node.Status.Allocatable, name); asked > most {
			return &Pending{corev1.PodReasonInfeasible, fmt.Sprintf("Node didn't have enough capacity: %s, requested: %d, capacity: %d", name, asked, most)}
		}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		used := int64(0)
		for _, other := range others {
			used += amount(podresource.PodRequests(other, podresource.PodResourcesOptions{}), name)
		}
		if asked, most := amount(want, name), amount(node.Status.Allocatable, name); asked > 0 && asked+used > most {
			return &Pending{corev1.PodReasonDeferred, fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, asked, used, most)}
		}
	}
	return nil
}

// amount counts processors in thousandths and bytes.
// Before says which of two pods that wait for room gets it: the one of higher
// priority, then the one that was promised more, then the older.
func Before(a, b *corev1.Pod) bool {
	class := func(p *corev1.Pod) int {
		return slices.Index([]corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort}, podspec.QOS(p))
	}
	return cmp.Or(
		cmp.Compare(schedule.Priority(b), schedule.Priority(a)), cmp.Compare(class(a), class(b)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID),
	) < 0
}

func amount(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// Message is what an event says of a resize: what became of it ("started",
// "completed", "error", or the reason it waits for) and what was asked for.
func Message(what string, pod *corev1.Pod, problem string) string {
	type container struct {
		Name      string                      `json:"name"`
		Resources corev1.ResourceRequirements `json:"resources"`
	}
	summary := struct {
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers,omitempty"`
		Generation     int64       `json:"generation,omitempty"`
		Error          string      `json:"error,omitempty"`
	}{Generation: pod.Generation, Error: problem}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil {
			summary.InitContainers = append(summary.InitContainers, container{c.Name, c.Resources})
		}
	}
	for i := range pod.Spec.Containers {
		summary.Containers = append(summary.Containers, container{pod.Spec.Containers[i].Name, pod.Spec.Containers[i].Resources})
	}
	text, err := json.Marshal(summary)
	if err != nil {
		return "Pod resize " + what
	}
	return "Pod resize " + what + ": " + string(text)
}
