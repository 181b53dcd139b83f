package schedule

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/storage/ephemeral"
)

// What a container that asks for nothing counts as in scores, so that nodes
// full of such pods do not look empty.
var (
	scoreCPU    = resource.MustParse("100m")
	scoreMemory = resource.MustParse("200Mi")
)

// Weight is what a pod takes of its node.
type Weight struct {
	want     amounts
	cpu, mem int64 // for scores
	ports    []port
}

// port is a port of the node itself.
type port struct {
	number   int32
	protocol corev1.Protocol
	address  string // "" is every address
}

// Weigh adds up what a pod takes of its node: containers, init containers,
// sidecars, overhead and what it asks for as a whole; a resize that the node
// has granted but the spec not yet shows counts as well.
func Weigh(pod *corev1.Pod) Weight {
	options := podresource.PodResourcesOptions{
		UseStatusResources: pod.Spec.NodeName != "", InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}
	w := Weight{want: amountsOf(podresource.PodRequests(pod, options)), ports: hostPorts(pod)}
	w.cpu, w.mem = w.want.cpu, w.want.mem
	if !saysAll(pod) {
		options.NonMissingContainerRequests = corev1.ResourceList{corev1.ResourceCPU: scoreCPU, corev1.ResourceMemory: scoreMemory}
		list := podresource.PodRequests(pod, options)
		w.cpu, w.mem = list.Cpu().MilliValue(), list.Memory().Value()
	}
	return w
}

// saysAll reports whether each container says how much processor and memory it needs.
func saysAll(pod *corev1.Pod) bool {
	says := func(containers []corev1.Container) bool {
		for i := range containers {
			requests := containers[i].Resources.Requests
			if _, ok := requests[corev1.ResourceCPU]; !ok {
				return false
			}
			if _, ok := requests[corev1.ResourceMemory]; !ok {
				return false
			}
		}
		return true
	}
	return says(pod.Spec.Containers) && says(pod.Spec.InitContainers)
}

func (w Weight) same(other Weight) bool {
	return w.want.cpu == other.want.cpu && w.want.mem == other.want.mem && w.want.disk == other.want.disk &&
		maps.Equal(w.want.other, other.want.other) && w.cpu == other.cpu && w.mem == other.mem &&
		slices.Equal(w.ports, other.ports)
}

// hostPorts are the ports the pod wants on the node itself.
func hostPorts(pod *corev1.Pod) []port {
	var ports []port
	add := func(containers []corev1.Container, sidecarsOnly bool) {
		for i := range containers {
			c := &containers[i]
			if sidecarsOnly && (c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
				continue
			}
			for _, p := range c.Ports {
				if p.HostPort > 0 {
					ports = append(ports, port{number: p.HostPort, protocol: protocol(p.Protocol), address: address(p.HostIP)})
				}
			}
		}
	}
	add(pod.Spec.Containers, false)
	add(pod.Spec.InitContainers, true)
	return ports
}

func protocol(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

// address treats the unspecified address as every address.
func address(ip string) string {
	if ip == "0.0.0.0" || ip == "::" {
		return ""
	}
	return strings.ToLower(ip)
}

// conflict says that two pods want one port of one address and protocol.
func conflict(wanted, taken []port) bool {
	for _, w := range wanted {
		for _, t := range taken {
			if w.number == t.number && w.protocol == t.protocol && (w.address == "" || t.address == "" || w.address == t.address) {
				return true
			}
		}
	}
	return false
}

// ClaimNames are the claims behind a pod's volumes.
func ClaimNames(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		switch v := &pod.Spec.Volumes[i]; {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, ephemeral.VolumeClaimName(pod, v))
		}
	}
	return names
}

// PortsConflict says that the pod wants a port of the node that one of the
// others has.
func PortsConflict(pod *corev1.Pod, others []*corev1.Pod) bool {
	wanted := hostPorts(pod)
	return len(wanted) > 0 && slices.ContainsFunc(others, func(other *corev1.Pod) bool { return conflict(wanted, hostPorts(other)) })
}

// HasHostPorts is true for a pod that wants ports of its node.
func HasHostPorts(pod *corev1.Pod) bool { return len(hostPorts(pod)) > 0 }
