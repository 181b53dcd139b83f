package proxy

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/packet"
)

// family is what differs between IPv4 and IPv6. Registers have 32 bits each; a
// key of several parts lies in consecutive ones:
//
//	client | front: address, protocol, port | back: address, port | scratch
//
// so that (client, front), (front, back) and (front, number) are keys as they
// lie there, a number taking the first register of back.
type family struct {
	table   nftables.TableFamily
	proto   uint32 // NFPROTO_…
	address nftables.SetDatatype
	words   uint32 // registers of an address
	source  uint32 // offsets in the header
	dest    uint32
	refusal expr.Any
}

var (
	ipv4 = family{
		nftables.TableFamilyIPv4, unix.NFPROTO_IPV4, nftables.TypeIPAddr, 1, 12, 16,
		&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3},
	}
	ipv6 = family{
		nftables.TableFamilyIPv6, unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 4, 8, 24,
		&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 4},
	}
)

const (
	regClient  = 8
	regScratch = 23
)

func (f family) is(a netip.Addr) bool { return a.Is6() == (f.words == 4) }

func (f family) regFront() uint32 { return regClient + f.words }
func (f family) regBack() uint32  { return f.regFront() + f.words + 2 }
func (f family) size() uint32     { return 4 * f.words }

// load copies an address of the header into registers.
func (f family) load(reg, offset uint32) expr.Any {
	return nft.Address(reg, offset, f.size())
}

// front fills the front's registers with destination, protocol and port; for a
// node port with no address.
func (f family) front(nodePort bool) []expr.Any {
	at := f.regFront()
	address := f.load(at, f.dest)
	if nodePort {
		address = &expr.Immediate{Register: at, Data: make([]byte, f.size())}
	}
	return []expr.Any{
		address,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: at + f.words},
		&expr.Payload{DestRegister: at + f.words + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

// toNode matches what goes to the node itself: to an address of its own, not by
// loopback and not a service address, which all lead here too.
func (f family) toNode(r Ranges) []expr.Any {
	out := []expr.Any{
		&expr.Fib{Register: regScratch, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regScratch, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
	}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	if f.words == 4 {
		loopback = netip.MustParsePrefix("::1/128")
	}
	for _, p := range append(f.of(r.Services), loopback) {
		out = append(out, nft.Within(regClient, f.dest, p, false)...)
	}
	return out
}

// of keeps the family's prefixes.
func (f family) of(all []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		if f.is(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// masqueradeMark is the bit that other proxies use for the same: hide the client.
const masqueradeMark = 1 << 14

func mark() []expr.Any {
	bit, rest := binary.NativeEndian.AppendUint32(nil, masqueradeMark), binary.NativeEndian.AppendUint32(nil, ^uint32(masqueradeMark))
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: regScratch},
		&expr.Bitwise{SourceRegister: regScratch, DestRegister: regScratch, Len: 4, Mask: rest, Xor: bit},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: regScratch, SourceRegister: true},
	}
}

func marked() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: regScratch},
		&expr.Bitwise{SourceRegister: regScratch, DestRegister: regScratch, Len: 4, Mask: binary.NativeEndian.AppendUint32(nil, masqueradeMark), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regScratch, Data: make([]byte, 4)},
	}
}

func frontKey(f packet.Front) []byte {
	key := append(f.Addr.AsSlice(), nft.Pad([]byte{byte(f.Protocol)})...)
	return append(key, nft.Pad(binary.BigEndian.AppendUint16(nil, f.Port))...)
}

func backKey(b packet.Back) []byte {
	return append(b.Addr.AsSlice(), nft.Pad(binary.BigEndian.AppendUint16(nil, b.Port))...)
}
