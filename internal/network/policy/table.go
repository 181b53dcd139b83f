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

// table is our nftables table of one family. Three fixed chains look up the
// profile of a packet's source and destination; a profile is a chain.
type table struct {
	family
	conn    *nftables.Conn
	table   *nftables.Table
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
			family: f, conn: conn, table: &nftables.Table{Family: f.table, Name: tableName},
			isolate: map[netip.Addr]int{}, sets: map[string]*nftables.Set{},
		}
		nft.Replace(conn, t.table)
		if err := t.fixed(own); err != nil {
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

func (t *table) fixed(own []netip.Addr) error {
	pair := nftables.MustConcatSetType(t.address, t.address)
	t.ingress = &nftables.Set{Table: t.table, Name: "ingress", IsMap: true, KeyType: t.address, DataType: nftables.TypeVerdict}
	t.egress = &nftables.Set{Table: t.table, Name: "egress", IsMap: true, KeyType: t.address, DataType: nftables.TypeVerdict}
	t.self = &nftables.Set{Table: t.table, Name: "self", Concatenation: true, KeyType: pair}
	for _, s := range []*nftables.Set{t.ingress, t.egress, t.self} {
		if err := t.conn.AddSet(s, nil); err != nil {
			return err
		}
	}
	// What is accepted in one chain still meets the next: a packet from one pod
	// of this node to another has to please both. The node's own packets meet
	// none of them.
	for _, c := range []struct {
		name   string
		hook   *nftables.ChainHook
		before nftables.ChainPriority
		offset uint32
		of     *nftables.Set
	}{
		{"from-pods", nftables.ChainHookForward, 6, t.source, t.egress},
		{"from-pods-to-node", nftables.ChainHookInput, 6, t.source, t.egress},
		{"to-pods", nftables.ChainHookForward, 5, t.dest, t.ingress},
	} {
		priority := *nftables.ChainPriorityFilter - c.before
		chain := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: c.name, Type: nftables.ChainTypeFilter, Hooknum: c.hook, Priority: &priority})
		accept := &expr.Verdict{Kind: expr.VerdictAccept}
		t.rule(chain, append(known(), accept)...)
		t.rule(chain, t.load(regFirst, t.source), t.load(regFirst+t.size/4, t.dest), t.lookup(t.self), accept)
		if c.hook == nftables.ChainHookInput {
			for _, a := range own {
				if t.is(a) {
					t.rule(chain, t.load(regFirst, t.dest), &expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: a.AsSlice()}, accept)
				}
			}
		}
		t.rule(chain, t.load(regFirst, c.offset), &expr.Lookup{SourceRegister: regFirst, IsDestRegSet: true, SetName: c.of.Name, SetID: c.of.ID})
	}
	return nil
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
