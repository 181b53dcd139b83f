package schedule

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/toleration"
)

// Upstream's reasons, word for word.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonNodeName      = "node(s) didn't match the requested node name"
	reasonTaint         = "node(s) had untolerated taint(s)"
	reasonAffinity      = "node(s) didn't match Pod's node affinity/selector"
	reasonPorts         = "node(s) didn't have free ports for the requested pod ports"
	reasonTooManyPods   = "Too many pods"
	reasonInsufficient  = "Insufficient "
)

// refusal is the first filter that the node fails, if any.
func (r *request) refusal(n *room) (Refusal, bool) {
	spec := &r.state.Pod.Spec
	final := func(reason string) (Refusal, bool) {
		return Refusal{Node: n.node.Name, Reasons: []string{reason}, Final: true}, true
	}
	if n.node.Spec.Unschedulable && !toleratesUnschedulable(spec.Tolerations) {
		return final(reasonUnschedulable)
	}
	if spec.NodeName != "" && spec.NodeName != n.node.Name {
		return final(reasonNodeName)
	}
	if toleration.Untolerated(spec.Tolerations, n.node.Spec.Taints, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute) != nil {
		return final(reasonTaint)
	}
	if ok, err := r.affinity.Match(n.node); err != nil || !ok {
		return final(reasonAffinity)
	}
	if conflict(r.ports, n.ports) {
		return Refusal{Node: n.node.Name, Reasons: []string{reasonPorts}}, true
	}
	if reasons, never := r.lacking(n); len(reasons) > 0 {
		return Refusal{Node: n.node.Name, Reasons: reasons, Final: never}, true
	}
	return Refusal{}, false
}

// lacking names every resource the node is short of; never says that the node
// is too small even when empty.
func (r *request) lacking(n *room) (reasons []string, never bool) {
	allocatable := n.node.Status.Allocatable
	pods := allocatable.Pods().Value()
	if n.pods+1 > pods {
		reasons = append(reasons, reasonTooManyPods)
	}
	for name, want := range r.resources {
		if want.IsZero() {
			continue
		}
		have := allocatable[name]
		if want.Cmp(have) > 0 {
			reasons, never = append(reasons, reasonInsufficient+string(name)), true
			continue
		}
		left := have.DeepCopy()
		left.Sub(n.used[name])
		if want.Cmp(left) > 0 {
			reasons = append(reasons, reasonInsufficient+string(name))
		}
	}
	return reasons, never
}

func toleratesUnschedulable(tolerations []corev1.Toleration) bool {
	return toleration.Any(tolerations, &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
}

// conflict says that two pods want one port of one address and protocol.
func conflict(wanted, taken []corev1.ContainerPort) bool {
	for _, w := range wanted {
		for _, t := range taken {
			if w.HostPort == t.HostPort && protocol(w) == protocol(t) && sameAddress(w.HostIP, t.HostIP) {
				return true
			}
		}
	}
	return false
}

func protocol(p corev1.ContainerPort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.Protocol
}

// sameAddress treats the unspecified address as every address.
func sameAddress(a, b string) bool {
	every := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return every(a) || every(b) || strings.EqualFold(a, b)
}
