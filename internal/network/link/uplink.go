package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// defaultMTU is used where there is no uplink.
const defaultMTU = 1500

// Uplink is what the machine reaches others by.
type Uplink struct {
	Name string // "" when there is none
	MTU  int
	// IPs are the node's addresses, at most one of each family, IPv4 first.
	IPs []netip.Addr
}

// FindUplink finds the interface of the default route, or else the first
// interface besides lo that has an address. A machine without any is an error
// that says what to do.
func FindUplink() (Uplink, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return Uplink{}, fmt.Errorf("list interfaces: %w", err)
	}
	first, err := defaultLink()
	if err != nil {
		return Uplink{}, err
	}
	for _, only := range []int{first, 0} { // the default route's interface may have no address of its own
		up, err := firstWithAddress(links, only)
		if err != nil || up.Name != "" {
			return up, err
		}
	}
	return Uplink{MTU: defaultMTU}, errors.New("this machine has no address but loopback: give an interface an address, or name one with --node-ip")
}

func firstWithAddress(links []netlink.Link, only int) (Uplink, error) {
	for _, l := range links {
		a := l.Attrs()
		if a.Flags&net.FlagLoopback != 0 || a.Flags&net.FlagUp == 0 || only != 0 && a.Index != only || isWire(a) {
			continue
		}
		ips, err := globalIPs(l)
		if err != nil {
			return Uplink{}, err
		}
		if len(ips) > 0 {
			return Uplink{Name: a.Name, MTU: a.MTU, IPs: ips}, nil
		}
	}
	return Uplink{}, nil
}

func isWire(a *netlink.LinkAttrs) bool {
	return len(a.Alias) > len(aliasPrefix) && a.Alias[:len(aliasPrefix)] == aliasPrefix
}

// defaultLink is the index of the interface of the best default route, or 0.
func defaultLink() (int, error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			if errors.Is(err, unix.EAFNOSUPPORT) {
				continue
			}
			return 0, fmt.Errorf("list routes: %w", err)
		}
		index, best := 0, 0
		for _, r := range routes {
			isDefault := r.Dst == nil || r.Dst.IP.IsUnspecified() && ones(r.Dst) == 0
			via := r.LinkIndex
			if via == 0 && len(r.MultiPath) > 0 {
				via = r.MultiPath[0].LinkIndex
			}
			if isDefault && r.Type == unix.RTN_UNICAST && via != 0 && (index == 0 || r.Priority < best) {
				index, best = via, r.Priority
			}
		}
		if index != 0 {
			return index, nil
		}
	}
	return 0, nil
}

func ones(n *net.IPNet) int {
	bits, _ := n.Mask.Size()
	return bits
}

// globalIPs are the first global unicast addresses of an interface, one of
// each family.
func globalIPs(l netlink.Link) ([]netip.Addr, error) {
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list the addresses of %s: %w", l.Attrs().Name, err)
	}
	var v4, v6 netip.Addr
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); !ok || !ip.IsGlobalUnicast() || a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DEPRECATED|unix.IFA_F_TEMPORARY) != 0 {
			continue
		}
		if ip.Is4() && !v4.IsValid() {
			v4 = ip
		}
		if ip.Is6() && !v6.IsValid() {
			v6 = ip
		}
	}
	var out []netip.Addr
	for _, ip := range []netip.Addr{v4, v6} {
		if ip.IsValid() {
			out = append(out, ip)
		}
	}
	return out, nil
}
