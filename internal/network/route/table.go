package route

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// place is where a pod of another node is.
type place struct {
	node  string
	addrs []netip.Addr
}

// node is another node.
type node struct {
	addrs []netip.Addr
	// near are those of addrs that are on a segment with this node.
	near []netip.Addr
	// peer is how the node is reached otherwise; without an underlay it cannot be.
	peer link.Peer
}

// nodeOf says how a node is reached: envelopes have addresses of one family.
func nodeOf(addrs []netip.Addr, local netip.Addr, near func(netip.Addr) bool) node {
	n := node{addrs: addrs, peer: link.Peer{Addrs: addrs}}
	for _, a := range addrs {
		if near(a) {
			n.near = append(n.near, a)
		}
		if !n.peer.Underlay.IsValid() && local.IsValid() && a.Is4() == local.Is4() {
			n.peer.Underlay = a
		}
	}
	if !n.peer.Underlay.IsValid() || slices.Contains(n.near, n.peer.Underlay) {
		n.peer.Underlay = netip.Addr{} // on one segment nothing needs an envelope
	}
	return n
}

func (n node) equal(o node) bool {
	return slices.Equal(n.addrs, o.addrs) && slices.Equal(n.near, o.near) && n.peer.Underlay == o.peer.Underlay
}

// table knows the other nodes and their pods, and which routes that asks for.
type table struct {
	nodes map[string]node
	pods  map[types.NamespacedName]place

	made  map[netip.Addr]link.Way             // to a pod, as the kernel has it
	owner map[netip.Addr]types.NamespacedName // whose route that is; nobody's when an earlier process made it
	held  map[types.NamespacedName][]netip.Addr
}

func newTable() *table {
	return &table{
		nodes: map[string]node{}, pods: map[types.NamespacedName]place{},
		made: map[netip.Addr]link.Way{}, owner: map[netip.Addr]types.NamespacedName{},
		held: map[types.NamespacedName][]netip.Addr{},
	}
}

// placeOf is what a grant says.
//
// Of several interfaces the first is known to the node; one that is in a network
// of the machine needs no way by its node where this machine is in that network too.
func placeOf(e *spiderpoolv2beta1.SpiderEndpoint, near func(netip.Addr) bool) place {
	p := place{node: e.Status.Current.Node}
	first, joined := underlay(e)
	for _, ip := range e.Status.Current.IPs {
		if ip.NIC != attachment.FirstNIC || first && !joined {
			continue
		}
		for _, cidr := range []string{ip.IPv4, ip.IPv6} {
			if prefix, err := netip.ParsePrefix(cidr); err == nil && (!first || !near(prefix.Addr())) {
				p.addrs = append(p.addrs, prefix.Addr())
			}
		}
	}
	return p
}

// underlay says whether a pod's first interface is in a network of the machine, and
// whether its node has a way to it.
func underlay(e *spiderpoolv2beta1.SpiderEndpoint) (first, joined bool) {
	networks, err := attachment.Resolved(e.Annotations)
	if err != nil || len(networks) == 0 || networks[0].Interface != attachment.FirstNIC {
		return false, false
	}
	return true, networks[0].Join != nil
}

// addressesOf are where a node is reached.
func addressesOf(n *corev1.Node) []netip.Addr {
	var out []netip.Addr
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			out = append(out, ip.Unmap())
		}
	}
	return out
}

// on are the pods of a node.
func (t *table) on(node string) []types.NamespacedName {
	var out []types.NamespacedName
	for name, p := range t.pods {
		if p.node == node {
			out = append(out, name)
		}
	}
	return out
}

// via is the way to one address of a pod: its node's address of that family, or
// the overlay where that is on no segment with this node.
func (t *table) via(p place, addr netip.Addr) (link.Way, bool) {
	n := t.nodes[p.node]
	if n.peer.Underlay.IsValid() {
		return n.peer.Way(addr)
	}
	i := slices.IndexFunc(n.near, func(a netip.Addr) bool { return a.Is4() == addr.Is4() })
	if i < 0 {
		return link.Way{}, false
	}
	return link.Way{Gateway: n.near[i]}, true
}

// peers are the nodes behind the overlay, by their underlay.
func (t *table) peers() map[netip.Addr]link.Peer {
	out := map[netip.Addr]link.Peer{}
	for _, n := range t.nodes {
		if n.peer.Underlay.IsValid() {
			out[n.peer.Underlay] = n.peer
		}
	}
	return out
}

// hop is one route.
type hop struct {
	pod   netip.Addr
	way   link.Way
	owner types.NamespacedName
}

// changes are what pods that changed ask for. An address may have passed from one
// pod to another: then it only gets another owner.
func (t *table) changes(pods map[types.NamespacedName]struct{}) (del, set []hop) {
	taken := map[netip.Addr]bool{}
	for name := range pods {
		p := t.pods[name]
		for _, addr := range p.addrs {
			via, ok := t.via(p, addr)
			if !ok {
				continue
			}
			taken[addr] = true
			if t.made[addr] != via || t.owner[addr] != name {
				set = append(set, hop{addr, via, name})
			}
		}
	}
	for name := range pods {
		for _, addr := range t.held[name] {
			if !taken[addr] {
				del = append(del, hop{addr, t.made[addr], name})
			}
		}
	}
	return del, set
}

// put notes a route that was made.
func (t *table) put(h hop) {
	if _, made := t.made[h.pod]; made {
		t.drop(h.pod)
	}
	t.made[h.pod], t.owner[h.pod] = h.way, h.owner
	t.held[h.owner] = append(t.held[h.owner], h.pod)
}

// drop notes that there is no route any more.
func (t *table) drop(addr netip.Addr) {
	owner := t.owner[addr]
	t.held[owner] = slices.DeleteFunc(t.held[owner], func(a netip.Addr) bool { return a == addr })
	if len(t.held[owner]) == 0 {
		delete(t.held, owner)
	}
	delete(t.made, addr)
	delete(t.owner, addr)
}
