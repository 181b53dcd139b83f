package schedule

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// What a container that asks for nothing counts as in scores, so that nodes
// full of such pods do not look empty.
var (
	scoreCPU    = resource.MustParse("100m")
	scoreMemory = resource.MustParse("200Mi")
)

// Weight is what a pod takes of its node.
type Weight struct {
	resources corev1.ResourceList
	cpu, mem  int64 // for scores
	ports     []corev1.ContainerPort
}

// Weigh adds up what a pod takes of its node.
func Weigh(pod *corev1.Pod) Weight {
	w := Weight{resources: podRequests(pod), ports: hostPorts(pod)}
	w.cpu, w.mem = scoreRequests(pod)
	return w
}

// request is what the pod asks for, computed once for all nodes.
type request struct {
	Weight
	state     State
	affinity  nodeaffinity.RequiredNodeAffinity
	preferred *nodeaffinity.PreferredSchedulingTerms
	waiting   []Claim // claims that wait for their first consumer, smallest first
}

func newRequest(s State) *request {
	r := &request{
		Weight:   Weigh(s.Pod),
		state:    s,
		affinity: nodeaffinity.GetRequiredNodeAffinity(s.Pod),
		waiting:  waitingClaims(s.Claims),
	}
	if a := s.Pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		terms := a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
		if parsed, err := nodeaffinity.NewPreferredSchedulingTerms(terms); err == nil {
			r.preferred = parsed
		}
	}
	return r
}

// podRequests adds up containers, init containers, sidecars and overhead; a
// resize that the node has granted but the spec not yet shows counts as well.
func podRequests(pod *corev1.Pod) corev1.ResourceList {
	return podresource.PodRequests(pod, podresource.PodResourcesOptions{UseStatusResources: true})
}

func scoreRequests(pod *corev1.Pod) (milliCPU, memory int64) {
	list := podresource.PodRequests(pod, podresource.PodResourcesOptions{
		UseStatusResources: true,
		NonMissingContainerRequests: corev1.ResourceList{
			corev1.ResourceCPU: scoreCPU, corev1.ResourceMemory: scoreMemory,
		},
	})
	return list.Cpu().MilliValue(), list.Memory().Value()
}

// hostPorts are the ports the pod wants on the node itself.
func hostPorts(pod *corev1.Pod) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	add := func(containers []corev1.Container, sidecarsOnly bool) {
		for i := range containers {
			c := &containers[i]
			if sidecarsOnly && (c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
				continue
			}
			for _, p := range c.Ports {
				if p.HostPort > 0 {
					ports = append(ports, p)
				}
			}
		}
	}
	add(pod.Spec.Containers, false)
	add(pod.Spec.InitContainers, true)
	return ports
}

// room is what a node has and what is taken of it.
type room struct {
	node     *corev1.Node
	used     corev1.ResourceList
	cpu, mem int64 // used, for scores
	pods     int64
	ports    []corev1.ContainerPort
}

func newRoom(n *Node, weigh func(*corev1.Pod) Weight) *room {
	r := &room{node: n.Node, used: corev1.ResourceList{}, pods: int64(len(n.Pods))}
	for _, pod := range n.Pods {
		w := weigh(pod)
		for name, q := range w.resources {
			sum := r.used[name]
			sum.Add(q)
			r.used[name] = sum
		}
		r.cpu += w.cpu
		r.mem += w.mem
		r.ports = append(r.ports, w.ports...)
	}
	return r
}
