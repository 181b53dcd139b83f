package netpolicy

import (
	"fmt"
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Pod is what policies ask of a pod.
type Pod struct {
	Namespace string
	Labels    labels.Set
	Addresses []netip.Addr
	Ports     []corev1.ContainerPort // the named ones
	// Local pods are on this node.
	Local bool
}

// Member is an element of a set: an address, and a port where the set has ports.
type Member struct {
	Addr netip.Addr
	Port uint16
}

// Term lets a packet through when all it says holds.
type Term struct {
	// Set is the name of a set that has the peer; WithPort: together with the
	// destination port.
	Set      string
	WithPort bool
	// Block and not Except are where the peer is, when Block is valid. Without
	// Set and Block any peer will do.
	Block  netip.Prefix
	Except []netip.Prefix
	// Protocol is an IP protocol number, 0 any; First and Last are ports, 0 any.
	Protocol    uint8
	First, Last uint16
}

// Profile is what some pods may receive or, for Egress, send.
type Profile struct {
	Egress bool
	Terms  []Term
}

// State is what is to be enforced.
type State struct {
	Profiles map[string]Profile
	Sets     map[string]map[Member]struct{}
	// Ingress and Egress are the profiles of local addresses. An address that is
	// in neither is not isolated.
	Ingress, Egress map[netip.Addr]string
}

// NewState lets everything through.
func NewState() State {
	return State{map[string]Profile{}, map[string]map[Member]struct{}{}, map[netip.Addr]string{}, map[netip.Addr]string{}}
}

type compiled struct {
	*networkingv1.NetworkPolicy
	selector labels.Selector
}

func compile(p *networkingv1.NetworkPolicy) (compiled, bool) {
	selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
	return compiled{p, selector}, err == nil
}

// profiles are names; an empty one isolates nobody.
type profiles struct{ in, out string }

// kind names what policies see of a pod: replicas are of one kind.
func (p *Pod) kind() string {
	return fmt.Sprintf("%s\n%s\n%v", p.Namespace, p.Labels, p.Ports)
}

// termsFor are the terms of all policies of a pod's namespace that select it.
func (f finder) termsFor(policies []compiled, pod *Pod) (in, out []Term, isolatedIn, isolatedOut bool) {
	for _, p := range policies {
		if !p.selector.Matches(pod.Labels) {
			continue
		}
		if applies(p.NetworkPolicy, networkingv1.PolicyTypeIngress) {
			isolatedIn = true
			for i := range p.Spec.Ingress {
				in = append(in, f.ingress(p.Namespace, &p.Spec.Ingress[i], pod)...)
			}
		}
		if applies(p.NetworkPolicy, networkingv1.PolicyTypeEgress) {
			isolatedOut = true
			for i := range p.Spec.Egress {
				out = append(out, f.egress(p.Namespace, &p.Spec.Egress[i])...)
			}
		}
	}
	return in, out, isolatedIn, isolatedOut
}

// applies says whether a policy is of a type. Without types it is of Ingress,
// and of Egress when it has rules for that.
func applies(p *networkingv1.NetworkPolicy, t networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) == 0 {
		return t == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
	}
	for _, have := range p.Spec.PolicyTypes {
		if have == t {
			return true
		}
	}
	return false
}

// Allows follows the first packet of a connection: whether to lets it in and
// from lets it out, as far as they are on this node.
func (s State) Allows(protocol uint8, from netip.Addr, to netip.AddrPort) bool {
	if from == to.Addr() {
		return true // a pod is never cut off from itself
	}
	let := func(profile string, isolated bool, peer netip.Addr) bool {
		if !isolated {
			return true
		}
		for _, t := range s.Profiles[profile].Terms {
			if s.holds(t, protocol, peer, to) {
				return true
			}
		}
		return false
	}
	out, isolatedOut := s.Egress[from]
	in, isolatedIn := s.Ingress[to.Addr()]
	return let(out, isolatedOut, to.Addr()) && let(in, isolatedIn, from)
}

func (s State) holds(t Term, protocol uint8, peer netip.Addr, to netip.AddrPort) bool {
	if t.Protocol != 0 && t.Protocol != protocol || t.First != 0 && (to.Port() < t.First || to.Port() > t.Last) {
		return false
	}
	if t.Set != "" {
		m := Member{Addr: peer}
		if t.WithPort {
			m.Port = to.Port()
		}
		_, has := s.Sets[t.Set][m]
		return has
	}
	if t.Block.IsValid() && !t.Block.Contains(peer) {
		return false
	}
	for _, e := range t.Except {
		if e.Contains(peer) {
			return false
		}
	}
	return true
}

// Change is what leads from one state to the next.
type Change struct {
	// Drop are profiles and sets that nothing needs any more, Make new ones with
	// all they have.
	DropProfiles, DropSets []string
	MakeProfiles           map[string]Profile
	MakeSets               map[string]map[Member]struct{}
	// Del and Add are elements of sets that stay.
	Del, Add map[string][]Member
	// An address whose profile changes is in both.
	DelIngress, DelEgress []netip.Addr
	AddIngress, AddEgress map[netip.Addr]string
}

func newChange() Change {
	return Change{
		MakeProfiles: map[string]Profile{}, MakeSets: map[string]map[Member]struct{}{}, Del: map[string][]Member{}, Add: map[string][]Member{},
		AddIngress: map[netip.Addr]string{}, AddEgress: map[netip.Addr]string{},
	}
}

// Empty tells that nothing changes.
func (c Change) Empty() bool {
	return len(c.DropProfiles)+len(c.DropSets)+len(c.MakeProfiles)+len(c.MakeSets)+len(c.Del)+len(c.Add)+
		len(c.DelIngress)+len(c.DelEgress)+len(c.AddIngress)+len(c.AddEgress) == 0
}

// To is the change from s to next.
func (s State) To(next State) Change {
	c := newChange()
	for name := range s.Profiles {
		if _, stays := next.Profiles[name]; !stays {
			c.DropProfiles = append(c.DropProfiles, name)
		}
	}
	for name, profile := range next.Profiles {
		if _, there := s.Profiles[name]; !there {
			c.MakeProfiles[name] = profile
		}
	}
	for name := range s.Sets {
		if _, stays := next.Sets[name]; !stays {
			c.DropSets = append(c.DropSets, name)
		}
	}
	for name, now := range next.Sets {
		was, there := s.Sets[name]
		if !there {
			c.MakeSets[name] = maps.Clone(now)
			continue
		}
		for m := range was {
			if _, stays := now[m]; !stays {
				c.Del[name] = append(c.Del[name], m)
			}
		}
		for m := range now {
			if _, had := was[m]; !had {
				c.Add[name] = append(c.Add[name], m)
			}
		}
	}
	c.DelIngress = moved(s.Ingress, next.Ingress, c.AddIngress)
	c.DelEgress = moved(s.Egress, next.Egress, c.AddEgress)
	return c
}

func moved(was, now, add map[netip.Addr]string) (del []netip.Addr) {
	for a, name := range was {
		if now[a] != name {
			del = append(del, a)
		}
	}
	for a, name := range now {
		if was[a] != name {
			add[a] = name
		}
	}
	return del
}
