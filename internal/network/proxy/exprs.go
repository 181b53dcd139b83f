package proxy

import (
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// field is an address of the IPv4 header, by its offset.
type field uint32

const (
	source      field = 12
	destination field = 16
)

// load copies an address into a register.
func load(reg uint32, f field) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: uint32(f), Len: 4}
}

// loadFront fills the registers with destination, protocol and port.
func loadFront() []expr.Any {
	return []expr.Any{
		load(regAddr, destination),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regProto},
		&expr.Payload{DestRegister: regPort, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

// within matches an address inside (or outside) a prefix.
func within(f field, p netip.Prefix, inside bool) []expr.Any {
	mask := make([]byte, 4)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	op := expr.CmpOpEq
	if !inside {
		op = expr.CmpOpNeq
	}
	return []expr.Any{
		load(regAddr, f),
		&expr.Bitwise{SourceRegister: regAddr, DestRegister: regAddr, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: regAddr, Data: p.Masked().Addr().AsSlice()},
	}
}

// refuse answers "port unreachable", which clients see as connection refused.
func refuse() expr.Any {
	return &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}
}

// v4 keeps the IPv4 prefixes.
func v4(all []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		if p.Addr().Is4() {
			out = append(out, p)
		}
	}
	return out
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

func each[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
