package neighbour

import (
	"encoding/binary"
	"net"
	"net/netip"
)

const (
	etherLen  = 14
	arpLen    = 28
	ipv6Len   = 40
	adviceLen = 24 // a solicitation or an advertisement without options

	arpType  = 0x0806
	ipv6Type = 0x86dd
	icmpv6   = 58

	solicitation  = 135
	advertisement = 136
)

var (
	everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes  = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// question is the frame that asks who has an address without saying that the
// sender has one: no neighbour learns anything from it (RFC 5227 section 2.1.1,
// RFC 4862 section 5.4.2).
func question(a netip.Addr, from net.HardwareAddr) []byte {
	if a.Is4() {
		return arpProbe(a, from)
	}
	return solicit(a, from)
}

func arpProbe(a netip.Addr, from net.HardwareAddr) []byte {
	f := ether(everybody, from, arpType, arpLen)
	p := f[etherLen:]
	binary.BigEndian.PutUint16(p[0:], 1)      // Ethernet
	binary.BigEndian.PutUint16(p[2:], 0x0800) // IPv4
	p[4], p[5] = 6, 4
	binary.BigEndian.PutUint16(p[6:], 1) // request
	copy(p[8:14], from)
	copy(p[24:28], a.AsSlice())
	return f
}

func solicit(a netip.Addr, from net.HardwareAddr) []byte {
	f := ether(groupOf(a), from, ipv6Type, ipv6Len+adviceLen)
	ip, target := f[etherLen:etherLen+ipv6Len], a.As16()
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], adviceLen)
	ip[6], ip[7] = icmpv6, 255
	copy(ip[24:40], []byte{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]})
	m := f[etherLen+ipv6Len:]
	m[0] = solicitation
	copy(m[8:24], target[:])
	binary.BigEndian.PutUint16(m[2:], checksum(ip, m))
	return f
}

// groupOf is the hardware address of those who may have an IPv6 address.
func groupOf(a netip.Addr) net.HardwareAddr {
	b := a.As16()
	return net.HardwareAddr{0x33, 0x33, 0xff, b[13], b[14], b[15]}
}

func ether(to, from net.HardwareAddr, kind uint16, payload int) []byte {
	f := make([]byte, etherLen+payload)
	copy(f, to)
	copy(f[6:], from)
	binary.BigEndian.PutUint16(f[12:], kind)
	return f
}

// checksum is that of an ICMPv6 message, whose own field is zero.
func checksum(ip, message []byte) uint16 {
	sum := uint32(len(message)) + icmpv6
	for _, part := range [][]byte{ip[8:40], message} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// heard is what a frame says about an address: who has it, or, tentative, who is
// about to take it.
func heard(f []byte) (a Answer, ok bool) {
	if len(f) < etherLen {
		return a, false
	}
	a.MAC = net.HardwareAddr(append([]byte(nil), f[6:12]...))
	switch p := f[etherLen:]; binary.BigEndian.Uint16(f[12:]) {
	case arpType:
		return heardARP(a, p)
	case ipv6Type:
		return heardND(a, p)
	}
	return a, false
}

func heardARP(a Answer, p []byte) (Answer, bool) {
	if len(p) < arpLen || binary.BigEndian.Uint16(p[2:]) != 0x0800 || p[4] != 6 || p[5] != 4 {
		return a, false
	}
	copy(a.MAC, p[8:14])
	a.Addr = netip.AddrFrom4([4]byte(p[14:18]))
	if a.Addr.IsUnspecified() {
		a.Addr, a.Tentative = netip.AddrFrom4([4]byte(p[24:28])), true
	}
	return a, true
}

func heardND(a Answer, p []byte) (Answer, bool) {
	// Hop limit 255: it comes from this segment.
	if len(p) < ipv6Len+adviceLen || p[6] != icmpv6 || p[7] != 255 {
		return a, false
	}
	from, m := netip.AddrFrom16([16]byte(p[8:24])), p[ipv6Len:]
	a.Addr = netip.AddrFrom16([16]byte(m[8:24]))
	switch m[0] {
	case solicitation:
		a.Tentative = true
		return a, from.IsUnspecified()
	case advertisement:
		for options := m[adviceLen:]; len(options) >= 8 && options[1] > 0 && len(options) >= 8*int(options[1]); options = options[8*int(options[1]):] {
			if options[0] == 2 && options[1] == 1 { // the target's hardware address
				copy(a.MAC, options[2:8])
			}
		}
		return a, true
	}
	return a, false
}
