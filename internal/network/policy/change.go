package policy

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/netpolicy"
)

func (all tables) apply(c netpolicy.Change) error {
	for _, t := range all {
		if err := t.apply(c); err != nil {
			return err
		}
	}
	return nil
}

// apply sends the family's part of a change as one transaction: new sets and
// profiles first, then who has which, and last what nobody needs any more.
func (t *table) apply(c netpolicy.Change) error {
	for name, members := range c.MakeSets {
		if err := t.makeSet(name, members); err != nil {
			return err
		}
	}
	for name, list := range c.Del {
		if err := t.members(name, list, t.conn.SetDeleteElements); err != nil {
			return err
		}
	}
	for name, list := range c.Add {
		if err := t.members(name, list, t.conn.SetAddElements); err != nil {
			return err
		}
	}
	for name, profile := range c.MakeProfiles {
		t.makeProfile(name, profile)
	}
	counts := map[netip.Addr]int{}
	for _, m := range []struct {
		set *nftables.Set
		del []netip.Addr
		add map[netip.Addr]string
	}{{t.ingress, c.DelIngress, c.AddIngress}, {t.egress, c.DelEgress, c.AddEgress}} {
		if err := t.assign(m.set, m.del, m.add, counts); err != nil {
			return err
		}
	}
	if err := t.selves(counts); err != nil {
		return err
	}
	t.gate()
	for _, name := range c.DropProfiles {
		t.conn.DelChain(&nftables.Chain{Table: t.table, Name: name})
	}
	for _, name := range c.DropSets {
		t.conn.DelSet(&nftables.Set{Table: t.table, Name: name})
		delete(t.sets, name)
	}
	return t.conn.Flush()
}

func (t *table) makeSet(name string, members map[netpolicy.Member]struct{}) error {
	s := &nftables.Set{Table: t.table, Name: name, KeyType: t.address}
	if withPorts(name) {
		s.Concatenation, s.KeyType = true, nftables.MustConcatSetType(t.address, nftables.TypeInetService)
	}
	if err := t.conn.AddSet(s, nil); err != nil {
		return err
	}
	t.sets[name] = s
	list := make([]netpolicy.Member, 0, len(members))
	for m := range members {
		list = append(list, m)
	}
	return t.members(name, list, t.conn.SetAddElements)
}

func withPorts(set string) bool { return strings.HasPrefix(set, netpolicy.WithPorts) }

func (t *table) members(name string, list []netpolicy.Member, do func(*nftables.Set, []nftables.SetElement) error) error {
	var elements []nftables.SetElement
	for _, m := range list {
		if !t.is(m.Addr) {
			continue
		}
		key := m.Addr.AsSlice()
		if withPorts(name) {
			key = append(binary.BigEndian.AppendUint16(key, m.Port), 0, 0)
		}
		elements = append(elements, nftables.SetElement{Key: key})
	}
	return nft.Elements(do, t.sets[name], elements)
}

// assign gives local addresses their profiles.
func (t *table) assign(s *nftables.Set, del []netip.Addr, add map[netip.Addr]string, counts map[netip.Addr]int) error {
	var gone, come []nftables.SetElement
	for _, a := range del {
		if t.is(a) {
			gone = append(gone, nftables.SetElement{Key: a.AsSlice()})
			counts[a]--
		}
	}
	for a, profile := range add {
		if t.is(a) {
			come = append(come, nftables.SetElement{Key: a.AsSlice(), VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: profile}})
			counts[a]++
		}
	}
	if len(gone) > 0 {
		if err := t.conn.SetDeleteElements(s, gone); err != nil {
			return err
		}
	}
	if len(come) > 0 {
		return t.conn.SetAddElements(s, come)
	}
	return nil
}

// selves lets isolated pods reach themselves.
func (t *table) selves(counts map[netip.Addr]int) error {
	for a, by := range counts {
		before := t.isolate[a]
		after := before + by
		if t.isolate[a] = after; after == 0 {
			delete(t.isolate, a)
		}
		self := []nftables.SetElement{{Key: append(a.AsSlice(), a.AsSlice()...)}}
		var err error
		switch {
		case before == 0 && after > 0:
			err = t.conn.SetAddElements(t.self, self)
		case before > 0 && after == 0:
			err = t.conn.SetDeleteElements(t.self, self)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeProfile makes a chain: each term leads back, what is left is dropped.
func (t *table) makeProfile(name string, p netpolicy.Profile) {
	chain := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name})
	peer := t.source
	if p.Egress {
		peer = t.dest
	}
	for _, term := range p.Terms {
		if term.Block.IsValid() && !t.is(term.Block.Addr()) {
			continue
		}
		t.rule(chain, append(t.term(term, peer), &expr.Verdict{Kind: expr.VerdictReturn})...)
	}
	t.rule(chain, &expr.Verdict{Kind: expr.VerdictDrop})
}

func (t *table) term(term netpolicy.Term, peer uint32) []expr.Any {
	var out []expr.Any
	if term.Protocol != 0 {
		out = append(out, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regScratch}, &expr.Cmp{Op: expr.CmpOpEq, Register: regScratch, Data: []byte{term.Protocol}})
	}
	port := func(reg uint32) expr.Any {
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	}
	if term.First != 0 {
		out = append(out, port(regScratch),
			&expr.Cmp{Op: expr.CmpOpGte, Register: regScratch, Data: binary.BigEndian.AppendUint16(nil, term.First)},
			&expr.Cmp{Op: expr.CmpOpLte, Register: regScratch, Data: binary.BigEndian.AppendUint16(nil, term.Last)})
	}
	if term.Set != "" {
		out = append(out, t.load(regFirst, peer))
		if term.WithPort {
			out = append(out, port(regFirst+t.size/4))
		}
		out = append(out, t.lookup(t.sets[term.Set]))
	}
	if term.Block.IsValid() {
		out = append(out, nft.Within(regFirst, peer, term.Block, true)...)
	}
	for _, e := range term.Except {
		if t.is(e.Addr()) {
			out = append(out, nft.Within(regFirst, peer, e, false)...)
		}
	}
	return out
}
