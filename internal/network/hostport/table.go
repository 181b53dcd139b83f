package hostport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/podspec"
)

// table is the nftables table as the kernel has it.
type table struct {
	*family
	conn    *nftables.Conn
	table   *nftables.Table
	any     *nftables.Set // protocol and port -> pod, for all addresses of the node
	bound   *nftables.Set // address, protocol and port -> pod
	hairpin *nftables.Set // a pod and itself
	pods    map[netip.Addr]int
}

func (t *table) close() { _ = t.conn.CloseLasting() }

// Registers of 32 bits each, from which lookups read their keys in a row. An
// address ends before the protocol, however long it is.
const (
	regProto  = 12
	regPort   = 13
	regToAddr = 16
	regPair   = 8
)

func (f *family) open(all []podspec.PortMapping) (*table, error) {
	conn, err := nft.Connect()
	if err != nil {
		return nil, err
	}
	t := &table{family: f, conn: conn, table: &nftables.Table{Family: f.table, Name: tableName}, pods: map[netip.Addr]int{}}
	nft.Replace(conn, t.table)
	to := nftables.MustConcatSetType(f.addr, nftables.TypeInetService)
	t.any = &nftables.Set{
		Table: t.table, Name: "any", IsMap: true, Concatenation: true, DataType: to,
		KeyType: nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
	}
	t.bound = &nftables.Set{
		Table: t.table, Name: "bound", IsMap: true, Concatenation: true, DataType: to,
		KeyType: nftables.MustConcatSetType(f.addr, nftables.TypeInetProto, nftables.TypeInetService),
	}
	t.hairpin = &nftables.Set{
		Table: t.table, Name: "hairpin", Concatenation: true,
		KeyType: nftables.MustConcatSetType(f.addr, f.addr),
	}
	for _, s := range []*nftables.Set{t.any, t.bound, t.hairpin} {
		if err := conn.AddSet(s, nil); err != nil {
			return nil, errors.Join(err, conn.CloseLasting())
		}
	}
	t.rules()
	if err := t.change(nil, all); err != nil {
		return nil, errors.Join(fmt.Errorf("load the nftables table %q: %w", tableName, err), conn.CloseLasting())
	}
	return t, nil
}

// rules are the fixed rules.
func (t *table) rules() {
	regAddr, regToPort := regProto-t.size/4, regToAddr+t.size/4
	key := []expr.Any{
		// Only what goes to the node itself.
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
		nft.Address(regAddr, t.dst, t.size),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regProto},
		&expr.Payload{DestRegister: regPort, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
	if t.family == v6 {
		// What goes to ::1 can never leave the node.
		key = append(nft.Within(regToAddr, t.dst, netip.MustParsePrefix("::1/128"), false), key...)
	}
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		c := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest})
		for from, set := range map[uint32]*nftables.Set{regAddr: t.bound, regProto: t.any} {
			t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: c, Exprs: append(slices.Clone(key),
				&expr.Lookup{SourceRegister: from, DestRegister: regToAddr, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
				&expr.NAT{Type: expr.NATTypeDestNAT, Family: t.nfproto, RegAddrMin: regToAddr, RegProtoMin: regToPort, Specified: true})})
		}
	}
	// A pod that reaches itself by the node's address must see another source.
	post := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: "postrouting", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: post, Exprs: []expr.Any{
		nft.Address(regPair, t.src, t.size), nft.Address(regPair+t.size/4, t.dst, t.size),
		&expr.Lookup{SourceRegister: regPair, SetName: t.hairpin.Name, SetID: t.hairpin.ID}, &expr.Masq{},
	}})
	if t.table.Family == nftables.TableFamilyIPv4 {
		t.loopbackRules(post)
	}
}

// loopbackRules let the node reach pods by 127.0.0.1. A pod could not answer
// that, so it sees another source; and since the wires of such pods carry
// packets of the loopback now, none may come in from outside.
func (t *table) loopbackRules(post *nftables.Chain) {
	const loopbackIndex = 1 // in every network namespace
	elsewhere := func(key expr.MetaKey) []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: key, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, loopbackIndex)},
		}
	}
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: post, Exprs: slices.Concat(
		elsewhere(expr.MetaKeyOIF), nft.Within(1, t.src, loopback, true), []expr.Any{&expr.Masq{}})})
	guard := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: "guard", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw})
	for _, offset := range []uint32{t.src, t.dst} {
		t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: guard, Exprs: slices.Concat(
			elsewhere(expr.MetaKeyIIF), nft.Within(1, offset, loopback, true), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})})
	}
}

// change replaces mappings in one transaction.
func (t *table) change(before, after []podspec.PortMapping) error {
	counts := map[netip.Addr]int{}
	for _, m := range before {
		counts[m.Pod]--
	}
	for _, m := range after {
		counts[m.Pod]++
	}
	steps := []error{t.elements(before, t.conn.SetDeleteElements), t.elements(after, t.conn.SetAddElements)}
	for pod, n := range counts {
		self := []nftables.SetElement{{Key: append(pod.AsSlice(), pod.AsSlice()...)}}
		switch had := t.pods[pod]; {
		case had == 0 && n > 0:
			steps = append(steps, t.conn.SetAddElements(t.hairpin, self))
		case had > 0 && had+n == 0:
			steps = append(steps, t.conn.SetDeleteElements(t.hairpin, self))
		}
		if t.pods[pod] += n; t.pods[pod] == 0 {
			delete(t.pods, pod)
		}
	}
	return errors.Join(append(steps, t.conn.Flush())...)
}

func (t *table) elements(list []podspec.PortMapping, do func(*nftables.Set, []nftables.SetElement) error) error {
	var problems []error
	for _, m := range list {
		set, key := t.any, append(nft.Pad([]byte{m.Protocol}), nft.Pad(binary.BigEndian.AppendUint16(nil, m.HostPort))...)
		if m.HostIP.IsValid() {
			set, key = t.bound, append(m.HostIP.AsSlice(), key...)
		}
		to := append(m.Pod.AsSlice(), nft.Pad(binary.BigEndian.AppendUint16(nil, m.Port))...)
		problems = append(problems, do(set, []nftables.SetElement{{Key: key, Val: to}}))
	}
	return errors.Join(problems...)
}
