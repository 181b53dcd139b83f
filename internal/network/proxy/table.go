package proxy

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/plan/packet"
)

// Registers of 32 bits each; a key of four parts fills the first four.
const (
	regAddr   = 8
	regProto  = 9
	regPort   = 10
	regNumber = 11
	regToAddr = 12
	regToPort = 13
)

// table is our nftables table as the kernel has it. Its rules never change: a
// Service is elements in its maps. There is one chain for each number of
// endpoints that any Service ever had, because the kernel draws numbers below a
// constant.
type table struct {
	conn    *nftables.Conn
	table   *nftables.Table
	fronts  *nftables.Set // front -> goto the chain of its endpoint count
	entries *nftables.Set // front and number -> endpoint
	refused *nftables.Set // fronts without endpoints
	hairpin *nftables.Set // endpoint and itself
	draw    map[int]*nftables.Chain
}

// tableName is the same for every instance: each has its own network namespace.
const tableName = "berth"

// Ranges are the address ranges that the fixed rules need.
type Ranges struct {
	Cluster, Services []netip.Prefix
	// Local are service addresses that this node answers itself (cluster DNS).
	Local []netip.Addr
}

// open replaces our table by a fresh one in one transaction, so packets never
// see half of it. The given elements are in it from the start.
func open(conn *nftables.Conn, r Ranges, all packet.Elements) (*table, error) {
	t := &table{conn: conn, table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}, draw: map[int]*nftables.Chain{}}
	conn.AddTable(t.table) // so that deleting it cannot fail
	conn.DelTable(t.table)
	conn.AddTable(t.table)
	if err := t.sets(); err != nil {
		return nil, err
	}
	t.rules(r)
	if err := t.apply(packet.Change{AddEntries: all.Entries, AddCounts: all.Counts, AddRefused: keys(all.Refused), AddHairpin: keys(all.Hairpin)}); err != nil {
		return nil, fmt.Errorf("load the nftables table %q: %w", tableName, err)
	}
	return t, nil
}

// Remove deletes our table; it is no error if there is none.
func Remove() error {
	conn, err := connect()
	if err != nil {
		return err
	}
	t := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	conn.AddTable(t)
	conn.DelTable(t)
	return conn.Flush()
}

func (t *table) sets() error {
	front := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)
	t.fronts = &nftables.Set{
		Table: t.table, Name: "fronts", IsMap: true, Concatenation: true,
		KeyType: front, DataType: nftables.TypeVerdict,
	}
	t.entries = &nftables.Set{
		Table: t.table, Name: "entries", IsMap: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService, nftables.TypeMark),
		DataType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
	t.refused = &nftables.Set{Table: t.table, Name: "refused", Concatenation: true, KeyType: front}
	t.hairpin = &nftables.Set{
		Table: t.table, Name: "hairpin", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr),
	}
	for _, s := range []*nftables.Set{t.fronts, t.entries, t.refused, t.hairpin} {
		if err := t.conn.AddSet(s, nil); err != nil {
			return err
		}
	}
	return nil
}

// rules are the fixed rules.
func (t *table) rules(r Ranges) {
	nat := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
		return t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: prio})
	}
	filter := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter})
	}
	toFront := append(loadFront(), &expr.Lookup{SourceRegister: regAddr, IsDestRegSet: true, SetName: t.fronts.Name, SetID: t.fronts.ID})
	for _, c := range []*nftables.Chain{
		nat("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest),
		nat("output", nftables.ChainHookOutput, nftables.ChainPriorityNATDest),
	} {
		t.rule(c, toFront...)
	}
	post := nat("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	// An endpoint that reaches itself through a Service must see another source.
	t.rule(post, load(regAddr, source), load(regProto, destination),
		&expr.Lookup{SourceRegister: regAddr, SetName: t.hairpin.Name, SetID: t.hairpin.ID}, &expr.Masq{})
	for _, pods := range v4(r.Cluster) {
		// Pods leave the cluster under the node's address.
		exprs := append(within(source, pods, true), within(destination, pods, false)...)
		t.rule(post, append(exprs, &expr.Masq{})...)
	}
	noEndpoints := append(loadFront(), &expr.Lookup{SourceRegister: regAddr, SetName: t.refused.Name, SetID: t.refused.ID}, refuse())
	for _, c := range []*nftables.Chain{filter("forward-refuse", nftables.ChainHookForward), filter("output-refuse", nftables.ChainHookOutput)} {
		t.rule(c, noEndpoints...)
	}
	// What reaches the node itself under a service address had no Service: it must
	// not meet whatever listens on that port here.
	in := filter("input-refuse", nftables.ChainHookInput)
	for _, own := range r.Local {
		if own.Is4() {
			t.rule(in, load(regAddr, destination), &expr.Cmp{Op: expr.CmpOpEq, Register: regAddr, Data: own.AsSlice()}, &expr.Verdict{Kind: expr.VerdictAccept})
		}
	}
	for _, svc := range v4(r.Services) {
		t.rule(in, append(within(destination, svc, true), refuse())...)
	}
}

// apply sends one change as one transaction.
func (t *table) apply(c packet.Change) error {
	for _, n := range c.AddCounts {
		t.drawChain(n)
	}
	steps := []struct {
		set *nftables.Set
		el  []nftables.SetElement
		do  func(*nftables.Set, []nftables.SetElement) error
	}{
		{t.fronts, each(c.DelCounts, func(f packet.Front) nftables.SetElement { return nftables.SetElement{Key: frontKey(f)} }), t.conn.SetDeleteElements},
		{t.entries, each(c.DelEntries, func(e packet.Entry) nftables.SetElement { return nftables.SetElement{Key: entryKey(e)} }), t.conn.SetDeleteElements},
		{t.refused, each(c.DelRefused, func(f packet.Front) nftables.SetElement { return nftables.SetElement{Key: frontKey(f)} }), t.conn.SetDeleteElements},
		{t.hairpin, each(c.DelHairpin, hairpinElement), t.conn.SetDeleteElements},
		{t.entries, entryElements(c.AddEntries), t.conn.SetAddElements},
		{t.fronts, t.frontElements(c.AddCounts), t.conn.SetAddElements},
		{t.refused, each(c.AddRefused, func(f packet.Front) nftables.SetElement { return nftables.SetElement{Key: frontKey(f)} }), t.conn.SetAddElements},
		{t.hairpin, each(c.AddHairpin, hairpinElement), t.conn.SetAddElements},
	}
	for _, s := range steps {
		// One message holds at most 64 KiB of attributes.
		for el := s.el; len(el) > 0; {
			n := min(len(el), 400)
			if err := s.do(s.set, el[:n]); err != nil {
				return err
			}
			el = el[n:]
		}
	}
	return t.conn.Flush()
}

// drawChain makes the chain that picks one of n endpoints.
func (t *table) drawChain(n int) {
	if t.draw[n] != nil {
		return
	}
	c := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: fmt.Sprintf("one-of-%d", n)})
	t.draw[n] = c
	t.rule(c, append(loadFront(),
		&expr.Numgen{Register: regNumber, Modulus: uint32(n), Type: unix.NFT_NG_RANDOM},
		&expr.Lookup{SourceRegister: regAddr, DestRegister: regToAddr, IsDestRegSet: true, SetName: t.entries.Name, SetID: t.entries.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regToAddr, RegProtoMin: regToPort, Specified: true})...)
}

func (t *table) frontElements(counts map[packet.Front]int) []nftables.SetElement {
	var out []nftables.SetElement
	for f, n := range counts {
		out = append(out, nftables.SetElement{Key: frontKey(f), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: t.draw[n].Name}})
	}
	return out
}

func (t *table) rule(c *nftables.Chain, exprs ...expr.Any) {
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: c, Exprs: exprs})
}

func entryElements(entries map[packet.Entry]packet.Back) []nftables.SetElement {
	var out []nftables.SetElement
	for e, b := range entries {
		if e.Addr.Is4() && b.Addr.Is4() {
			out = append(out, nftables.SetElement{Key: entryKey(e), Val: append(b.Addr.AsSlice(), pad(binary.BigEndian.AppendUint16(nil, b.Port))...)})
		}
	}
	return out
}

func hairpinElement(a netip.Addr) nftables.SetElement {
	return nftables.SetElement{Key: append(a.AsSlice(), a.AsSlice()...)}
}

func frontKey(f packet.Front) []byte {
	key := append(f.Addr.AsSlice(), pad([]byte{byte(f.Protocol)})...)
	return append(key, pad(binary.BigEndian.AppendUint16(nil, f.Port))...)
}

func entryKey(e packet.Entry) []byte {
	return binary.NativeEndian.AppendUint32(frontKey(e.Front), e.Number)
}

// pad fills a key part to a register's four bytes.
func pad(b []byte) []byte {
	out := make([]byte, 4)
	copy(out, b)
	return out
}
