package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/packet"
)

// table is our nftables table of one family as the kernel has it. Its rules
// never change: a Service is elements in its maps. There is one chain for each
// way of drawing an endpoint that any Service ever needed, because the kernel
// draws numbers below a constant.
type table struct {
	family
	conn     *nftables.Conn
	table    *nftables.Table
	fronts   *nftables.Set // front -> goto the chain that draws
	outside  *nftables.Set // the same, for packets from outside the cluster
	entries  *nftables.Set // front and number -> endpoint
	unserved *nftables.Set // fronts without endpoints -> what to do
	members  *nftables.Set // front and endpoint, where clients stick
	sticky   *nftables.Set // client and front -> endpoint, for a time
	guarded  *nftables.Set // fronts that not everybody may use
	admitted *nftables.Set // front and client
	hairpin  *nftables.Set // endpoint and itself
	pods     *nftables.Set // addresses of pods
	draw     map[packet.Draw]*nftables.Chain
}

// tableName is the same for every instance: each has its own network namespace.
const tableName = "berth"

// refuseChain is where verdict maps send what is to be refused.
const refuseChain = "refuse"

// Ranges are the address ranges that the fixed rules need.
type Ranges struct {
	Cluster, Services []netip.Prefix
	// Pools are further addresses of pods.
	Pools []address.Span
	// Local are service addresses that this node answers itself (cluster DNS).
	Local []netip.Addr
}

// pods are all addresses that pods may have.
func (r Ranges) pods() []address.Span {
	all := slices.Clone(r.Pools)
	for _, p := range r.Cluster {
		all = append(all, address.SpanOf(p))
	}
	return address.Merge(all)
}

// tables are those of all families that the cluster has.
type tables []*table

// open replaces our tables by fresh ones in one transaction each, so packets
// never see half of them. The given elements are in them from the start.
func open(conn *nftables.Conn, r Ranges, all packet.Elements) (tables, error) {
	var out tables
	for _, f := range []family{ipv4, ipv6} {
		t := &table{family: f, conn: conn, table: &nftables.Table{Family: f.table, Name: tableName}, draw: map[packet.Draw]*nftables.Chain{}}
		if f.words == 4 && len(f.of(r.Services)) == 0 {
			continue // a kernel without IPv6 has nothing to fail with
		}
		nft.Replace(conn, t.table)
		if err := t.sets(); err != nil {
			return nil, err
		}
		t.rules(r)
		if err := t.setPods(r.pods()); err != nil {
			return nil, err
		}
		if err := t.apply(all.All()); err != nil {
			return nil, fmt.Errorf("load the nftables table %q, which Linux 5.9 and newer can: %w", tableName, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// Remove deletes our tables; it is no error if there are none.
func Remove() error { return nft.Remove(tableName, ipv4.table, ipv6.table) }

func (t *table) sets() error {
	concat := nftables.MustConcatSetType
	front := concat(t.address, nftables.TypeInetProto, nftables.TypeInetService)
	back := concat(t.address, nftables.TypeInetService)
	set := func(name string, key nftables.SetDatatype, data ...nftables.SetDatatype) *nftables.Set {
		s := &nftables.Set{Table: t.table, Name: name, Concatenation: true, KeyType: key}
		if len(data) > 0 {
			s.IsMap, s.DataType = true, data[0]
		}
		return s
	}
	t.fronts = set("fronts", front, nftables.TypeVerdict)
	t.outside = set("outside", front, nftables.TypeVerdict)
	t.unserved = set("unserved", front, nftables.TypeVerdict)
	t.entries = set("entries", concat(t.address, nftables.TypeInetProto, nftables.TypeInetService, nftables.TypeMark), back)
	t.members = set("members", concat(t.address, nftables.TypeInetProto, nftables.TypeInetService, t.address, nftables.TypeInetService))
	t.sticky = set("sticky", concat(t.address, t.address, nftables.TypeInetProto, nftables.TypeInetService), back)
	t.sticky.Dynamic, t.sticky.HasTimeout, t.sticky.Size = true, true, 1<<20
	t.guarded = set("guarded", front)
	t.admitted = set("admitted", concat(t.address, nftables.TypeInetProto, nftables.TypeInetService, t.address))
	t.admitted.Interval = true
	t.hairpin = set("hairpin", concat(t.address, t.address))
	t.pods = &nftables.Set{Table: t.table, Name: "pods", KeyType: t.address, Interval: true}
	var problems []error
	for _, s := range []*nftables.Set{t.fronts, t.outside, t.unserved, t.entries, t.members, t.sticky, t.guarded, t.admitted, t.hairpin, t.pods} {
		problems = append(problems, t.conn.AddSet(s, nil))
	}
	return errors.Join(problems...)
}

// apply sends one change.
func (all tables) apply(c packet.Change) error {
	for _, t := range all {
		if err := t.apply(c); err != nil {
			return err
		}
	}
	return nil
}

// setPods says anew which addresses are pods', in one transaction a family.
func (all tables) setPods(spans []address.Span) error {
	for _, t := range all {
		t.conn.FlushSet(t.pods)
		if err := t.setPods(spans); err != nil {
			return err
		}
		if err := t.conn.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// setPods fills the set; a span ends before the address that ends it.
func (t *table) setPods(spans []address.Span) error {
	var elements []nftables.SetElement
	for _, s := range spans {
		if !t.is(s.First) {
			continue
		}
		elements = append(elements, nftables.SetElement{Key: s.First.AsSlice()})
		if end := s.Last.Next(); end.IsValid() {
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return nft.Elements(t.conn.SetAddElements, t.pods, elements)
}

// apply sends the family's part of one change as one transaction.
func (t *table) apply(c packet.Change) error {
	for _, draws := range []map[packet.Front]packet.Draw{c.Add.Fronts, c.Add.Outside} {
		for front, d := range draws {
			if t.is(front.Addr) && d.Endpoints > 0 {
				t.drawChain(d)
			}
		}
	}
	byKey := func(s *nftables.Set, elements []nftables.SetElement) error {
		for i := range elements {
			elements[i].Val, elements[i].VerdictData = nil, nil
		}
		return t.conn.SetDeleteElements(s, elements)
	}
	for _, step := range []struct {
		e  packet.Elements
		do func(*nftables.Set, []nftables.SetElement) error
	}{{c.Del, byKey}, {c.Add, t.conn.SetAddElements}} {
		for set, elements := range t.elements(step.e) {
			if err := nft.Elements(step.do, set, elements); err != nil {
				return err
			}
		}
	}
	return t.conn.Flush()
}

// elements are the family's elements as the kernel takes them.
func (t *table) elements(e packet.Elements) map[*nftables.Set][]nftables.SetElement {
	out := map[*nftables.Set][]nftables.SetElement{}
	add := func(s *nftables.Set, a netip.Addr, element func() nftables.SetElement) {
		if t.is(a) {
			out[s] = append(out[s], element())
		}
	}
	for f, d := range e.Fronts {
		add(t.fronts, f.Addr, func() nftables.SetElement { return nftables.SetElement{Key: frontKey(f), VerdictData: t.to(d)} })
	}
	for f, d := range e.Outside {
		add(t.outside, f.Addr, func() nftables.SetElement { return nftables.SetElement{Key: frontKey(f), VerdictData: t.to(d)} })
	}
	for f, v := range e.Unserved {
		add(t.unserved, f.Addr, func() nftables.SetElement {
			verdict := &expr.Verdict{Kind: expr.VerdictDrop}
			if v == packet.Refuse {
				verdict = &expr.Verdict{Kind: expr.VerdictGoto, Chain: refuseChain}
			}
			return nftables.SetElement{Key: frontKey(f), VerdictData: verdict}
		})
	}
	for n, b := range e.Entries {
		add(t.entries, n.Addr, func() nftables.SetElement {
			return nftables.SetElement{Key: binary.NativeEndian.AppendUint32(frontKey(n.Front), n.Number), Val: backKey(b)}
		})
	}
	for m := range e.Members {
		add(t.members, m.Front.Addr, func() nftables.SetElement {
			return nftables.SetElement{Key: append(frontKey(m.Front), backKey(m.Back)...)}
		})
	}
	for f := range e.Guarded {
		add(t.guarded, f.Addr, func() nftables.SetElement { return nftables.SetElement{Key: frontKey(f)} })
	}
	for a := range e.Admitted {
		add(t.admitted, a.Addr, func() nftables.SetElement {
			first, last := ends(a.From)
			return nftables.SetElement{Key: append(frontKey(a.Front), first...), KeyEnd: append(frontKey(a.Front), last...)}
		})
	}
	for a := range e.Hairpin {
		add(t.hairpin, a, func() nftables.SetElement { return nftables.SetElement{Key: append(a.AsSlice(), a.AsSlice()...)} })
	}
	return out
}

// to leads to the chain that draws. Packets from outside for which the node has
// nothing are left alone here and dropped later.
func (t *table) to(d packet.Draw) *expr.Verdict {
	if d.Endpoints == 0 {
		return &expr.Verdict{Kind: expr.VerdictAccept}
	}
	return &expr.Verdict{Kind: expr.VerdictGoto, Chain: drawName(d)}
}

// ends are a prefix's first and last address.
func ends(p netip.Prefix) (first, last []byte) {
	first, last = p.Masked().Addr().AsSlice(), p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(last); i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	return first, last
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }
