// Package admit says whether a node takes a pod that is bound to it. The
// scheduler has looked already at most pods; those that a user or a controller
// bound directly have been looked at by nobody. A pod that is refused fails,
// with upstream's reason and words.
package admit

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	podresource "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/schedule"
	"berth.dev/berth/internal/plan/toleration"
)

// Refusal is why a node does not take a pod.
type Refusal struct {
	Reason  string
	Message string
	// Stale is true where a newer object of the node may allow what this one
	// forbids: its labels and taints are changed by others.
	Stale bool
	// Lacking is true where others have what the pod asks for.
	Lacking bool
}

// Node is what takes pods.
type Node struct {
	Object *corev1.Node
	// OS is the operating system it runs.
	OS string
	// Pressure are the node conditions that it is under, in order.
	Pressure []corev1.NodeConditionType
	// UnsafeSysctls are the patterns that are allowed beside the safe ones.
	UnsafeSysctls []string
	// AppArmor is true when the machine can confine containers.
	AppArmor bool
	// Closing is true when it is shutting down.
	Closing bool
}

// Check says why the node does not take the pod beside the others that it has,
// nil when it does.
func Check(node Node, pod *corev1.Pod, others []*corev1.Pod) *Refusal {
	if r := alone(node, pod); r != nil {
		return r
	}
	if r := lacking(node.Object, pod, others); r != nil {
		return r
	}
	return predicates(node.Object, pod, others)
}

// alone is what has nothing to do with other pods.
func alone(node Node, pod *corev1.Pod) *Refusal {
	for _, check := range []func(Node, *corev1.Pod) *Refusal{closing, pressure, sysctls, system, groups, armor} {
		if r := check(node, pod); r != nil {
			return r
		}
	}
	return nil
}

// Static is true for a pod that a file on the node describes.
func Static(pod *corev1.Pod) bool {
	source := pod.Annotations[SourceAnnotation]
	return source != "" && source != "api"
}

// SourceAnnotation says where a pod comes from.
const SourceAnnotation = "kubernetes.io/config.source"

// criticalPriority is the lowest of the system's own priority classes.
const criticalPriority = 2_000_000_000

// Critical is true for a pod that the node itself needs.
func Critical(pod *corev1.Pod) bool {
	return Static(pod) || schedule.Priority(pod) >= criticalPriority
}

func closing(node Node, _ *corev1.Pod) *Refusal {
	if !node.Closing {
		return nil
	}
	return &Refusal{Reason: "NodeShutdown", Message: "Pod was rejected as the node is shutting down."}
}

// pressure keeps pods from making it worse.
func pressure(node Node, pod *corev1.Pod) *Refusal {
	if len(node.Pressure) == 0 || Critical(pod) {
		return nil
	}
	if len(node.Pressure) == 1 && node.Pressure[0] == corev1.NodeMemoryPressure {
		taint := corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}
		if podspec.QOS(pod) != corev1.PodQOSBestEffort || toleration.Any(pod.Spec.Tolerations, &taint) {
			return nil
		}
	}
	return &Refusal{Reason: "Evicted", Message: fmt.Sprintf("The node had condition: %v. ", node.Pressure)}
}

// system checks what the pod says of the operating system.
func system(node Node, pod *corev1.Pod) *Refusal {
	if want, says := pod.Labels[corev1.LabelOSStable]; says && want != node.OS {
		return &Refusal{Reason: "PodOSSelectorNodeLabelDoesNotMatch", Message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"}
	}
	if pod.Spec.OS != nil && string(pod.Spec.OS.Name) != node.OS {
		return &Refusal{Reason: "PodOSNotSupported", Message: "Failed to admit pod as the OS field doesn't match node OS"}
	}
	return nil
}

func groups(node Node, pod *corev1.Pod) *Refusal {
	sc := pod.Spec.SecurityContext
	if sc == nil || sc.SupplementalGroupsPolicy == nil || *sc.SupplementalGroupsPolicy != corev1.SupplementalGroupsPolicyStrict {
		return nil
	}
	// A runtime that does not say is asked to do it; it fails the pod if it cannot.
	f := node.Object.Status.Features
	if f == nil || f.SupplementalGroupsPolicy == nil || *f.SupplementalGroupsPolicy {
		return nil
	}
	return &Refusal{
		Reason:  "SupplementalGroupsPolicyNotSupported",
		Message: fmt.Sprintf("SupplementalGroupsPolicy=%s is not supported in this node", corev1.SupplementalGroupsPolicyStrict),
	}
}

func armor(node Node, pod *corev1.Pod) *Refusal {
	if node.AppArmor || !podspec.WantsAppArmor(pod) {
		return nil
	}
	return &Refusal{Reason: "AppArmor", Message: "Cannot enforce AppArmor: AppArmor is not enabled on the host"}
}

// shortage is a resource that there is too little of.
type shortage struct {
	name             corev1.ResourceName
	want, used, most int64
}

// lacking names the first resource that there is too little of.
func lacking(node *corev1.Node, pod *corev1.Pod, others []*corev1.Pod) *Refusal {
	if list := shortages(node, pod, others); len(list) > 0 {
		return list[0].refusal()
	}
	return nil
}

// shortages are all that there is too little of.
func shortages(node *corev1.Node, pod *corev1.Pod, others []*corev1.Pod) []shortage {
	used := map[corev1.ResourceName]int64{}
	for _, other := range others {
		for name, n := range requests(other) {
			used[name] += n
		}
	}
	return short(node, pod, int64(len(others)), used)
}

// shortages are the same beside those that are counted.
func (t *Tally) shortages(node *corev1.Node, pod *corev1.Pod) []shortage {
	return short(node, pod, int64(len(t.pods)), t.used)
}

// short is what there is too little of beside so many pods that use so much.
func short(node *corev1.Node, pod *corev1.Pod, pods int64, used map[corev1.ResourceName]int64) []shortage {
	var out []shortage
	have := node.Status.Allocatable
	if most := have.Pods().Value(); pods+1 > most {
		out = append(out, shortage{corev1.ResourcePods, 1, pods, most})
	}
	want := requests(pod)
	first := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(n corev1.ResourceName) bool { return slices.Contains(first, n) })
	for _, name := range append(first, rest...) {
		q, known := have[name]
		if !known && !native(name) {
			continue // the cluster's, not the node's
		}
		if most := amount(name, q.MilliValue(), q.Value()); want[name] > 0 && want[name] > most-used[name] {
			out = append(out, shortage{name, want[name], used[name], most})
		}
	}
	return out
}

func (s shortage) refusal() *Refusal {
	return &Refusal{
		Reason:  "OutOf" + string(s.name),
		Message: fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", s.name, s.want, s.used, s.most),
		Lacking: true,
	}
}

// native resources are the node's own to give: their names have no domain, or Kubernetes'.
func native(name corev1.ResourceName) bool {
	return !slices.Contains([]byte(name), '/')
}

func requests(pod *corev1.Pod) map[corev1.ResourceName]int64 {
	out := map[corev1.ResourceName]int64{}
	options := podresource.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	for name, q := range podresource.PodRequests(pod, options) {
		out[name] = amount(name, q.MilliValue(), q.Value())
	}
	return out
}

// amount counts processors in thousandths and the rest whole.
func amount(name corev1.ResourceName, milli, whole int64) int64 {
	if name == corev1.ResourceCPU {
		return milli
	}
	return whole
}

// predicates are the scheduler's rules that a node checks again.
func predicates(node *corev1.Node, pod *corev1.Pod, others []*corev1.Pod) *Refusal {
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !ok {
		return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector", true)
	}
	if pod.Spec.NodeName != "" && pod.Spec.NodeName != node.Name {
		return predicate("NodeName", "node(s) didn't match the requested node name", false)
	}
	if schedule.PortsConflict(pod, others) {
		return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports", false)
	}
	if !Static(pod) && toleration.Untolerated(pod.Spec.Tolerations, node.Spec.Taints, corev1.TaintEffectNoExecute) != nil {
		return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate", true)
	}
	return nil
}

func predicate(name, why string, stale bool) *Refusal {
	return &Refusal{Reason: name, Message: fmt.Sprintf("Predicate %s failed: %s", name, why), Stale: stale}
}
