package proxy

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/packet"
)

// rules are the fixed rules.
func (t *table) rules(r Ranges) {
	nat := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
		return t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: prio})
	}
	refuse := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: refuseChain})
	t.rule(refuse, t.refusal)

	// Chains of this type see the first packet of a connection only, and all
	// those of a hook cost the others one look at the connection, however many
	// they are. Nothing else is asked of packets between pods.
	early, late := *nftables.ChainPriorityNATDest-10, *nftables.ChainPriorityNATDest+10
	for _, way := range []struct {
		name string
		hook *nftables.ChainHook
	}{{"prerouting", nftables.ChainHookPrerouting}, {"output", nftables.ChainHookOutput}} {
		t.guard(nat(way.name+"-guard", way.hook, &early))
		t.dispatch(nat(way.name, way.hook, nftables.ChainPriorityNATDest), r, way.hook == nftables.ChainHookPrerouting)
		t.refuse(nat(way.name+"-refuse", way.hook, &late), r)
	}

	post := nat("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	t.rule(post, append(marked(), &expr.Masq{})...)
	// An endpoint that reaches itself through a Service must see another source.
	t.rule(post, t.load(regClient, t.source), t.load(regClient+t.words, t.dest), t.lookup(regClient, t.hairpin), &expr.Masq{})
	// Pods leave the cluster under the node's address.
	t.rule(post, append(append(t.pod(t.source, true), t.pod(t.dest, false)...), &expr.Masq{})...)

	t.stray(t.conn.AddChain(&nftables.Chain{
		Table: t.table, Name: "input", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	}), r)
}

// refuse ends what was led nowhere although its front is a Service's: by its
// destination or, at an address of the node, by its port.
func (t *table) refuse(c *nftables.Chain, r Ranges) {
	t.rule(c, append(t.front(false), t.verdict(t.unserved))...)
	t.rule(c, append(append(t.toNode(r), t.front(true)...), t.verdict(t.unserved))...)
}

// pod matches an address that is, or is not, one of the pods'.
func (t *table) pod(offset uint32, is bool) []expr.Any {
	return []expr.Any{
		t.load(regClient, offset),
		&expr.Lookup{SourceRegister: regClient, SetName: t.pods.Name, SetID: t.pods.ID, Invert: !is},
	}
}

// stray refuses what reaches the node itself under a service address that had
// no Service: it must not meet whatever listens on that port here.
func (t *table) stray(c *nftables.Chain, r Ranges) {
	for _, own := range r.Local {
		if t.is(own) {
			t.rule(c, t.load(regClient, t.dest), &expr.Cmp{Op: expr.CmpOpEq, Register: regClient, Data: own.AsSlice()}, &expr.Verdict{Kind: expr.VerdictAccept})
		}
	}
	for _, services := range t.of(r.Services) {
		t.rule(c, append(nft.Within(regClient, t.dest, services, true), t.refusal)...)
	}
}

// guard drops packets to fronts that their client may not use.
func (t *table) guard(c *nftables.Chain) {
	known := append(t.front(false), t.lookup(t.regFront(), t.guarded))
	t.rule(c, append(slices.Clone(known), t.load(t.regBack(), t.source), t.lookup(t.regFront(), t.admitted), &expr.Verdict{Kind: expr.VerdictAccept})...)
	t.rule(c, append(known, &expr.Verdict{Kind: expr.VerdictDrop})...)
}

// beside matches what comes by a wire beside another interface: its sender's
// address leads to that interface, so that an answer from elsewhere would not
// come back this way.
func beside() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: regClient},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regClient, Data: binaryutil.NativeEndian.PutUint32(link.BesideGroup)},
	}
}

// dispatch leads packets to the chain that draws an endpoint, first by their
// destination, then by node port.
func (t *table) dispatch(c *nftables.Chain, r Ranges, arriving bool) {
	outsiders := [][]expr.Any{t.pod(t.source, false), beside()}
	if arriving {
		// Another machine that uses a cluster address by way of this node has to
		// get its answer from here, and so has a pod that others reach elsewhere.
		for _, from := range outsiders {
			for _, services := range t.of(r.Services) {
				t.rule(c, append(append(slices.Clone(from), nft.Within(regClient, t.dest, services, true)...), mark()...)...)
			}
		}
	}
	for _, nodePort := range []bool{false, true} {
		var front []expr.Any
		if nodePort {
			front = t.toNode(r)
		}
		front = append(front, t.front(nodePort)...)
		if arriving {
			for _, from := range outsiders {
				t.rule(c, append(append(slices.Clone(from), front...), t.verdict(t.outside))...)
			}
		} else {
			// The node itself is no outsider, but an address of its own that it
			// took for its source means nothing elsewhere.
			t.rule(c, append(append(append([]expr.Any{}, front...), t.lookup(t.regFront(), t.outside)), mark()...)...)
		}
		t.rule(c, append(append([]expr.Any{}, front...), t.verdict(t.fronts))...)
	}
}

func drawName(d packet.Draw) string {
	name := fmt.Sprintf("one-of-%d", d.Endpoints)
	if d.Far {
		name += "-far"
	}
	if d.NodePort {
		name += "-nodeport"
	}
	if d.Masquerade {
		name += "-masquerade"
	}
	if d.Sticky > 0 {
		name += fmt.Sprintf("-sticky-%d", d.Sticky)
	}
	return name
}

// drawChain makes the chain that picks an endpoint in this way.
func (t *table) drawChain(d packet.Draw) {
	if t.draw[d] != nil {
		return
	}
	c := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: drawName(d)})
	t.draw[d] = c
	if d.Masquerade {
		t.rule(c, mark()...)
	}
	var first uint32
	if d.Far {
		first = packet.FarNumbers
	}
	front := t.front(d.NodePort)
	pick := append(append([]expr.Any{}, front...),
		&expr.Numgen{Register: t.regBack(), Modulus: uint32(d.Endpoints), Type: unix.NFT_NG_RANDOM, Offset: first}, t.data(t.regFront(), t.entries))
	send := &expr.NAT{Type: expr.NATTypeDestNAT, Family: t.proto, RegAddrMin: t.regBack(), RegProtoMin: t.regBack() + t.words, Specified: true}
	if d.Sticky > 0 {
		client := append([]expr.Any{t.load(regClient, t.source)}, front...)
		remember := func(op uint32) expr.Any {
			return &expr.Dynset{
				SrcRegKey: regClient, SrcRegData: t.regBack(), SetName: t.sticky.Name, SetID: t.sticky.ID, Operation: op, Timeout: seconds(d.Sticky),
			}
		}
		// The endpoint of last time, if it is still one.
		t.rule(c, append(append([]expr.Any{}, client...), t.data(regClient, t.sticky), t.lookup(t.regFront(), t.members), remember(unix.NFT_DYNSET_OP_UPDATE), send)...)
		// Or else a new one, instead of what was remembered.
		t.rule(c, append(append([]expr.Any{t.load(regClient, t.source)}, pick...), remember(dynsetDelete), remember(unix.NFT_DYNSET_OP_ADD), send)...)
		// No room to remember: served all the same.
	}
	t.rule(c, append(pick, send)...)
}

// dynsetDelete is NFT_DYNSET_OP_DELETE.
const dynsetDelete = 2

// lookup matches a key that is in a set, data also fetches what it maps to, and
// verdict goes there.
func (t *table) lookup(reg uint32, s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: reg, SetName: s.Name, SetID: s.ID}
}

func (t *table) data(reg uint32, s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: reg, DestRegister: t.regBack(), IsDestRegSet: true, SetName: s.Name, SetID: s.ID}
}

func (t *table) verdict(s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: t.regFront(), IsDestRegSet: true, SetName: s.Name, SetID: s.ID}
}

func (t *table) rule(c *nftables.Chain, exprs ...expr.Any) {
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: c, Exprs: exprs})
}
