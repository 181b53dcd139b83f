package policy

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/netpolicy"
)

// tableName is the same for every instance: each has its own network namespace.
const tableName = "berth-policy"

// family is what differs between IPv4 and IPv6.
type family struct {
	table   nftables.TableFamily
	address nftables.SetDatatype
	size    uint32 // bytes of an address
	source  uint32 // offsets in the header
	dest    uint32
}

var families = []family{
	{nftables.TableFamilyIPv4, nftables.TypeIPAddr, 4, 12, 16},
	{nftables.TableFamilyIPv6, nftables.TypeIP6Addr, 16, 8, 24},
}

// Registers of 32 bits: room for two addresses, or an address and a port.
const (
	regFirst   = 8
	regScratch = 23
)

func (f family) is(a netip.Addr) bool { return a.Is6() == (f.size == 16) }

// table is our nftables table of one family. Two fixed chains look up the
// profile of a packet's source and destination; a profile is a chain, too. While
// nobody is isolated no chain is in a packet's way.
type table struct {
	family
	conn    *nftables.Conn
	table   *nftables.Table
	own     []netip.Addr // of the node, which pods always reach
	gates   []*nftables.Chain
	ingress *nftables.Set // local address -> goto profile
	egress  *nftables.Set
	self    *nftables.Set // an isolated address and itself
	isolate map[netip.Addr]int
	sets    map[string]*nftables.Set
}

type tables []*table

// open replaces our tables by ones that enforce a state, each in one
// transaction. own are addresses of the node that pods always reach.
func open(conn *nftables.Conn, dual bool, own []netip.Addr, state netpolicy.State) (tables, error) {
	var out tables
	for _, f := range families {
		if f.size == 16 && !dual {
			continue // a kernel without IPv6 has nothing to fail with
		}
		t := &table{
			family: f, conn: conn, table: &nftables.Table{Family: f.table, Name: tableName}, own: own,
			isolate: map[netip.Addr]int{}, sets: map[string]*nftables.Set{},
		}
		nft.Replace(conn, t.table)
		if err := t.fixed(); err != nil {
			return nil, err
		}
		if err := t.apply(netpolicy.NewState().To(state)); err != nil {
			return nil, fmt.Errorf("load the nftables table %q: %w", tableName, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// Remove deletes our tables; it is no error if there are none.
func Remove() error { return nft.Remove(tableName, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6) }

func (t *table) fixed() error {
	pair := nftables.MustConcatSetType(t.address, t.address)
	t.ingress = &nftables.Set{Table: t.table, Name: "ingress", IsMap: true, KeyType: t.address, DataType: nftables.TypeVerdict}
	t.egress = &nftables.Set{Table: t.table, Name: "egress", IsMap: true, KeyType: t.address, DataType: nftables.TypeVerdict}
	t.self = &nftables.Set{Table: t.table, Name: "self", Concatenation: true, KeyType: pair}
	for _, s := range []*nftables.Set{t.ingress, t.egress, t.self} {
		if err := t.conn.AddSet(s, nil); err != nil {
			return err
		}
	}
	// No packet comes here. But a rule that asks for connections has the kernel
	// follow them from now on, so that those which are older than the first policy
	// are known by then.
	t.rule(t.conn.AddChain(&nftables.Chain{Table: t.table, Name: "followed"}), known()...)
	return nil
}

// gate puts the fixed chains in the packets' way, or takes them out of it. What
// is forwarded from one pod of this node to another has to please both: a
// profile returns from what it lets through. The node's own packets meet neither.
func (t *table) gate() {
	if is, want := len(t.gates) > 0, len(t.isolate) > 0; is == want {
		return
	} else if is {
		for _, chain := range t.gates {
			t.conn.DelChain(chain)
		}
		t.gates = nil
		return
	}
	forward, input := t.base("forward", nftables.ChainHookForward), t.base("input", nftables.ChainHookInput)
	t.gates = []*nftables.Chain{forward, input}
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	for _, chain := range t.gates {
		t.rule(chain, append(known(), accept)...)
		t.rule(chain, t.load(regFirst, t.source), t.load(regFirst+t.size/4, t.dest), t.lookup(t.self), accept)
	}
	for _, a := range t.own {
		if t.is(a) {
			t.rule(input, t.load(regFirst, t.dest), &expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: a.AsSlice()}, accept)
		}
	}
	for _, l := range []struct {
		chain  *nftables.Chain
		offset uint32
		of     *nftables.Set
	}{{forward, t.source, t.egress}, {input, t.source, t.egress}, {forward, t.dest, t.ingress}} {
		t.rule(l.chain, t.load(regFirst, l.offset), &expr.Lookup{SourceRegister: regFirst, IsDestRegSet: true, SetName: l.of.Name, SetID: l.of.ID})
	}
}

func (t *table) base(name string, hook *nftables.ChainHook) *nftables.Chain {
	before := *nftables.ChainPriorityFilter - 5
	return t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: &before})
}

// known matches packets of connections that were let through before.
func known() []expr.Any {
	states := binary.NativeEndian.AppendUint32(nil, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: regScratch},
		&expr.Bitwise{SourceRegister: regScratch, DestRegister: regScratch, Len: 4, Mask: states, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regScratch, Data: make([]byte, 4)},
	}
}

func (t *table) load(reg, offset uint32) expr.Any {
	return nft.Address(reg, offset, t.size)
}

func (t *table) lookup(s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: regFirst, SetName: s.Name, SetID: s.ID}
}

func (t *table) rule(c *nftables.Chain, exprs ...expr.Any) {
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: c, Exprs: exprs})
}
