package why

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"

	"berth.dev/berth/internal/plan/schedule"
)

// explain adds figures and names to the scheduler's reason about one node.
func explain(pod *corev1.Pod, node *schedule.Node, reason string) (Reason, string) {
	name, insufficient := strings.CutPrefix(reason, "Insufficient ")
	switch {
	case insufficient:
		asks, free, all := room(pod, node, corev1.ResourceName(name))
		return NoRoom, fmt.Sprintf("too little %s (asks %s, %s of %s free)", name, &asks, &free, &all)
	case reason == "Too many pods":
		return NoRoom, fmt.Sprintf("full: %d pods", len(node.Pods))
	case strings.Contains(reason, "free ports"):
		return NoRoom, "a host port that it asks for is taken"
	case strings.Contains(reason, "untolerated taint"):
		return NodesTainted, "taint " + strings.Join(taints(node.Node), ", ") + short(node.Node)
	case strings.Contains(reason, "were unschedulable"):
		return NodesTainted, "cordoned"
	case strings.Contains(reason, "node affinity/selector"):
		if lacks := lacking(pod, node.Node); len(lacks) > 0 {
			return NoNodeMatches, "lacks label " + strings.Join(lacks, ", ")
		}
		return NoNodeMatches, "does not match its node affinity"
	case strings.Contains(reason, "requested node name"):
		return NoNodeMatches, "is not the node that it names"
	case strings.Contains(reason, "PersistentVolume's node affinity"):
		return VolumeElsewhere, "its volume is not there"
	case strings.Contains(reason, "available persistent volumes to bind"):
		return ClaimNoVolumeFits, "no volume for its claim there"
	}
	return Unschedulable, reason
}

// room is what a pod asks of a resource, and what a node has left and in all.
func room(pod *corev1.Pod, node *schedule.Node, name corev1.ResourceName) (asks, free, all resource.Quantity) {
	options := podresource.PodResourcesOptions{UseStatusResources: true}
	asks = podresource.PodRequests(pod, options)[name]
	all = node.Node.Status.Allocatable[name]
	free = all.DeepCopy()
	for _, other := range node.Pods {
		free.Sub(podresource.PodRequests(other, options)[name])
	}
	if free.Sign() < 0 {
		free = resource.Quantity{Format: free.Format}
	}
	return asks, free, all
}

// taints are those that keep new pods away.
func taints(node *corev1.Node) []string {
	var all []string
	for i := range node.Spec.Taints {
		if t := &node.Spec.Taints[i]; t.Effect != corev1.TaintEffectPreferNoSchedule {
			all = append(all, t.ToString())
		}
	}
	return all
}

// short says what a node has too little of, in words.
func short(node *corev1.Node) string {
	for _, t := range node.Spec.Taints {
		switch t.Key {
		case corev1.TaintNodeDiskPressure:
			return ": its disk is nearly full (nodefs.available of --eviction-hard)"
		case corev1.TaintNodeMemoryPressure:
			return ": its memory is nearly used up (memory.available of --eviction-hard)"
		case corev1.TaintNodePIDPressure:
			return ": its process ids are nearly used up (pid.available of --eviction-hard)"
		}
	}
	return ""
}

// lacking are the labels of nodeSelector that a node does not have.
func lacking(pod *corev1.Pod, node *corev1.Node) []string {
	var lacks []string
	for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
		if value, ok := node.Labels[key]; !ok || value != pod.Spec.NodeSelector[key] {
			lacks = append(lacks, key+"="+pod.Spec.NodeSelector[key])
		}
	}
	return lacks
}

// askLess is the command that makes the pod fit on the node with the most room,
// when it is short of one resource only and has one container that asks for it.
func (f *Facts) askLess(pod *corev1.Pod, state schedule.State) string {
	name, many := corev1.ResourceName(""), false
	var most resource.Quantity
	for i := range state.Nodes {
		for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			asks, free, _ := room(pod, &state.Nodes[i], r)
			if asks.Cmp(free) <= 0 {
				continue
			}
			many = many || name != "" && name != r
			name = r
			if free.Cmp(most) > 0 {
				most = free
			}
		}
	}
	if many || name == "" || most.IsZero() || len(pod.Spec.Containers) != 1 {
		return f.global("describe nodes")
	}
	return f.fixResources(pod, pod.Spec.Containers[0].Name, "requests", string(name), most.String())
}

// untaint is the command that opens a node.
func (f *Facts) untaint(nodes []schedule.Node) string {
	for i := range nodes {
		node := nodes[i].Node
		if node.Spec.Unschedulable {
			return f.global("uncordon %s", node.Name)
		}
		for j := range node.Spec.Taints {
			t := &node.Spec.Taints[j]
			switch {
			case t.Effect == corev1.TaintEffectPreferNoSchedule:
			case strings.HasPrefix(t.Key, "node.kubernetes.io/"): // it says what is wrong with the node
				return f.global("describe node %s", node.Name)
			default:
				return f.global("taint node %s %s:%s-", node.Name, t.Key, t.Effect)
			}
		}
	}
	return f.global("describe nodes")
}

// label is the command that gives a node what nodeSelector asks for.
func (f *Facts) label(pod *corev1.Pod, nodes []schedule.Node) string {
	for i := range nodes {
		if lacks := lacking(pod, nodes[i].Node); len(lacks) > 0 {
			return f.global("label node %s %s", nodes[i].Node.Name, strings.Join(lacks, " "))
		}
	}
	return f.global("get nodes --show-labels")
}
