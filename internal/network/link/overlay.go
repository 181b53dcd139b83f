package link

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Nodes that are on no segment with this one are reached by VXLAN. Their ends
// are written down here, by node: nothing is learnt and nothing flooded.
const (
	overlayName = "berth-overlay"
	overlayVNI  = 4790
	overlayPort = 4789 // as IANA has it
	// overlayTable has the addresses of these nodes themselves. Only what is
	// forwarded looks there: a pod that speaks, or answers, to such a node. Sent
	// bare, a packet from a pod's address would be nobody's to the networks between.
	overlayTable    = 190
	overlayPriority = 4790
)

// overlayCosts is what an envelope takes of a packet, by the family of the
// addresses on it.
func overlayCosts(underlay netip.Addr) int {
	if underlay.Is4() {
		return 50 // Ethernet 14, IPv4 20, UDP 8, VXLAN 8
	}
	return 70
}

// Peer is another node behind the overlay.
type Peer struct {
	// Underlay is where envelopes are sent.
	Underlay netip.Addr
	// Addrs are all of the node's addresses.
	Addrs []netip.Addr
}

// Way leads to addr, a pod's of this node or its own; false when there is none.
func (p Peer) Way(addr netip.Addr) (Way, bool) {
	if addr.Is6() { // a link-local next hop needs no address of the node's
		return Way{Gateway: linkLocal(overlayMAC(p.Underlay)), Overlay: true}, true
	}
	for _, a := range p.Addrs {
		if a.Is4() {
			return Way{Gateway: a, Overlay: true}, true
		}
	}
	return Way{}, false
}

// gateways are the next hops of the peer's ways.
func (p Peer) gateways() []netip.Addr {
	var out []netip.Addr
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if way, ok := p.Way(any); ok {
			out = append(out, way.Gateway)
		}
	}
	return out
}

// overlayMAC is the hardware address of a node's end: each node can tell each
// other's.
func overlayMAC(underlay netip.Addr) net.HardwareAddr {
	sum := sha256.Sum256([]byte("berth overlay " + underlay.String()))
	sum[0] = sum[0]&^1 | 2 // one station's, given by software
	return sum[:6]
}

// linkLocal is the address that belongs to a hardware address (EUI-64).
func linkLocal(m net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// SetUpOverlay makes this node's end; repeating it changes nothing.
func SetUpOverlay(local netip.Addr) error {
	under, err := withAddress(local)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = overlayName, under.MTU-overlayCosts(local), overlayMAC(local)
	want := &netlink.Vxlan{LinkAttrs: attrs, VxlanId: overlayVNI, SrcAddr: local.AsSlice(), Port: overlayPort}
	is, err := netlink.LinkByName(overlayName)
	if err == nil && !sameEnd(is, want) {
		if err := netlink.LinkDel(is); err != nil {
			return fmt.Errorf("remove interface %s: %w", overlayName, err)
		}
		is = nil
	}
	if err != nil && !isGone(err) {
		return fmt.Errorf("interface %s: %w", overlayName, err)
	}
	if err != nil || is == nil {
		if err := netlink.LinkAdd(want); err != nil {
			return fmt.Errorf("make the VXLAN interface %s to nodes on other segments: %w", overlayName, err)
		}
		if is, err = netlink.LinkByName(overlayName); err != nil {
			return fmt.Errorf("interface %s: %w", overlayName, err)
		}
	}
	if is.Attrs().MTU != attrs.MTU {
		if err := netlink.LinkSetMTU(is, attrs.MTU); err != nil {
			return fmt.Errorf("set the MTU of %s: %w", overlayName, err)
		}
	}
	settings := []setting{
		{"ipv4/conf/" + overlayName + "/rp_filter", "2"}, // the node itself speaks from an address that is not behind it
		{"ipv6/conf/" + overlayName + "/addr_gen_mode", "1"},
		{"ipv6/conf/" + overlayName + "/accept_ra", "0"},
	}
	if err := apply(settings); err != nil {
		return err
	}
	if err := netlink.LinkSetAlias(is, aliasPrefix+"overlay"); err != nil {
		return fmt.Errorf("mark %s: %w", overlayName, err)
	}
	if err := netlink.LinkSetUp(is); err != nil {
		return fmt.Errorf("bring up %s: %w", overlayName, err)
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if err := netlink.RuleAdd(overlayRule(family)); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return fmt.Errorf("rule for what pods send to nodes on other segments: %w", err)
		}
	}
	return nil
}

func overlayRule(family int) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Priority, r.Table = family, overlayPriority, overlayTable
	r.IifName, r.Invert = "lo", true // not this machine's own
	return r
}

// withAddress is the interface that has an address.
func withAddress(local netip.Addr) (*netlink.LinkAttrs, error) {
	addrs, err := netlink.AddrList(nil, familyOf(local))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list the machine's addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, _ := netip.AddrFromSlice(a.IP); ip.Unmap() == local {
			l, err := netlink.LinkByIndex(a.LinkIndex)
			if err != nil {
				return nil, fmt.Errorf("interface of %s: %w", local, err)
			}
			return l.Attrs(), nil
		}
	}
	return nil, fmt.Errorf("no interface of this machine has the node's address %s; see --node-ip", local)
}

// sameEnd reports whether what is there need not be made anew.
func sameEnd(is netlink.Link, want *netlink.Vxlan) bool {
	v, ok := is.(*netlink.Vxlan)
	return ok && v.VxlanId == want.VxlanId && v.Port == want.Port && v.SrcAddr.Equal(want.SrcAddr) && !v.Learning &&
		v.HardwareAddr.String() == want.HardwareAddr.String()
}

// OverlayMTU is what a packet to a node on another segment may measure, or 0
// when there is no such node.
func OverlayMTU() int {
	l, err := netlink.LinkByName(overlayName)
	if err != nil {
		return 0
	}
	return l.Attrs().MTU
}

// RemoveOverlay takes this node's end away, and all that leads there.
func RemoveOverlay() error {
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer host.Close()
	problems := []error{remove(host, overlayName)}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if err := host.RuleDel(overlayRule(family)); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EAFNOSUPPORT) {
			problems = append(problems, fmt.Errorf("remove the rule for the overlay: %w", err))
		}
	}
	return errors.Join(problems...)
}
