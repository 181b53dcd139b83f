package netpolicy

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// profileOf are the terms, each once, under a name made of them.
func profileOf(egress bool, terms []Term) (string, Profile) {
	seen := map[string]Term{}
	for _, t := range terms {
		seen[fmt.Sprintf("%+v", t)] = t
	}
	keys := slices.Sorted(maps.Keys(seen))
	unique := make([]Term, 0, len(keys))
	for _, key := range keys {
		unique = append(unique, seen[key])
	}
	name := map[bool]string{false: "in-", true: "out-"}[egress] + digest(strings.Join(keys, "\n"))
	return name, Profile{egress, unique}
}

func digest(text string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(text))
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

// port is one entry of a rule's ports: numbers, or a name.
type port struct {
	protocol    uint8
	first, last uint16
	name        string
}

func portsOf(list []networkingv1.NetworkPolicyPort) []port {
	if len(list) == 0 {
		return []port{{}}
	}
	var out []port
	for _, p := range list {
		proto := corev1.ProtocolTCP
		if p.Protocol != nil {
			proto = *p.Protocol
		}
		entry := port{protocol: number(proto)}
		switch {
		case p.Port == nil:
		case p.Port.Type == intstr.String:
			entry.name = p.Port.StrVal
		default:
			entry.first, entry.last = uint16(p.Port.IntVal), uint16(p.Port.IntVal)
			if p.EndPort != nil {
				entry.last = uint16(*p.EndPort)
			}
		}
		out = append(out, entry)
	}
	return out
}

func number(p corev1.Protocol) uint8 {
	switch cmp.Or(p, corev1.ProtocolTCP) {
	case corev1.ProtocolUDP:
		return 17
	case corev1.ProtocolSCTP:
		return 132
	default:
		return 6
	}
}

// named finds a pod's port of that name and protocol.
func (p *Pod) named(name string, protocol uint8) (uint16, bool) {
	for _, c := range p.Ports {
		if c.Name == name && number(c.Protocol) == protocol {
			return uint16(c.ContainerPort), true
		}
	}
	return 0, false
}

// ingress are the terms of one rule for one pod, whose own ports its names mean.
func (f finder) ingress(namespace string, rule *networkingv1.NetworkPolicyIngressRule, pod *Pod) []Term {
	var out []Term
	for _, p := range portsOf(rule.Ports) {
		if p.name != "" {
			n, ok := pod.named(p.name, p.protocol)
			if !ok {
				continue
			}
			p.first, p.last, p.name = n, n, ""
		}
		out = append(out, f.peers(namespace, rule.From, p)...)
	}
	return out
}

// egress are the terms of one rule; a named port is each peer's own.
func (f finder) egress(namespace string, rule *networkingv1.NetworkPolicyEgressRule) []Term {
	var out []Term
	for _, p := range portsOf(rule.Ports) {
		out = append(out, f.peers(namespace, rule.To, p)...)
	}
	return out
}

// peers are the terms for one port and all peers of a rule; no peers mean any.
func (f finder) peers(namespace string, list []networkingv1.NetworkPolicyPeer, p port) []Term {
	term := Term{Protocol: p.protocol, First: p.first, Last: p.last}
	if len(list) == 0 {
		if p.name == "" {
			return []Term{term}
		}
		// A name means something only where pods have it.
		list = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	}
	var out []Term
	for i := range list {
		t, ok := term, false
		if block := list[i].IPBlock; block != nil {
			if p.name == "" {
				t.Block, t.Except, ok = parseBlock(block)
			}
		} else {
			t.WithPort = p.name != ""
			t.Set, ok = f(namespace, &list[i], p)
		}
		if ok {
			out = append(out, t)
		}
	}
	return out
}

func parseBlock(b *networkingv1.IPBlock) (block netip.Prefix, except []netip.Prefix, ok bool) {
	block, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return block, nil, false
	}
	for _, text := range b.Except {
		if e, err := netip.ParsePrefix(text); err == nil {
			except = append(except, e.Masked())
		}
	}
	return block.Masked(), except, true
}

// finder makes the set of pods that a peer means known, and names it.
type finder func(namespace string, peer *networkingv1.NetworkPolicyPeer, p port) (string, bool)

// chosen is which pods a set has.
type chosen struct {
	namespace    string // or else those that spaces selects
	spaces, pods labels.Selector
	port         port // of the pods that have one of this name
}

func chosenBy(namespace string, peer *networkingv1.NetworkPolicyPeer, p port) (name string, c chosen, ok bool) {
	c = chosen{namespace, labels.Everything(), labels.Everything(), port{name: p.name}}
	var err error
	if peer.NamespaceSelector != nil {
		c.namespace = ""
		if c.spaces, err = metav1.LabelSelectorAsSelector(peer.NamespaceSelector); err != nil {
			return "", c, false
		}
	}
	if peer.PodSelector != nil {
		if c.pods, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
			return "", c, false
		}
	}
	kind := "pods-"
	if p.name != "" {
		kind, c.port.protocol = WithPorts, p.protocol
	}
	return kind + digest(fmt.Sprintf("%s\n%s\n%s\n%s/%d", c.namespace, c.spaces, c.pods, p.name, c.port.protocol)), c, true
}

// has says whether a pod is chosen, whose namespace has these labels, and with
// which port.
func (c *chosen) has(pod *Pod, space labels.Set) (uint16, bool) {
	if c.namespace != "" && pod.Namespace != c.namespace || c.namespace == "" && !c.spaces.Matches(space) || !c.pods.Matches(pod.Labels) {
		return 0, false
	}
	if c.port.name == "" {
		return 0, true
	}
	return pod.named(c.port.name, c.port.protocol)
}

// WithPorts begins the names of sets whose members have a port.
const WithPorts = "ports-"
