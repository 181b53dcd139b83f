package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Node is what one node's network namespace gets besides the pods' wires.
type Node struct {
	// PodCIDRs are the pools' ranges: what has no pod route is unreachable, so
	// that a packet for a pod that is gone never leaves by the default route.
	PodCIDRs []netip.Prefix
	// ServiceCIDRs are routed to this machine itself, for the service proxy's
	// rules to redirect; what has no rule never leaves either.
	ServiceCIDRs []netip.Prefix
	// Local are service addresses that this node itself serves: cluster DNS.
	Local []netip.Addr
	// NodeIPs are the sources of the node's own connections to services.
	NodeIPs []netip.Addr
}

// forever is the kernel's infinite address lifetime.
const forever = 1<<32 - 1

// SetUp makes it so; repeating it changes nothing.
func SetUp(n Node) error {
	if err := n.clash(false); err != nil {
		return err
	}
	if err := apply(n.settings()); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring up lo (root and CAP_NET_ADMIN are needed): %w", err)
	}
	for _, p := range n.PodCIDRs {
		route := &netlink.Route{Dst: ipNet(p), Type: unix.RTN_UNREACHABLE, Protocol: protocol, Family: familyOf(p.Addr())}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("unreachable route for the pods' range %s: %w", p, err)
		}
	}
	for _, p := range n.ServiceCIDRs {
		if err := n.routeServices(lo.Attrs().Index, p); err != nil {
			return err
		}
	}
	for _, a := range n.Local {
		addr := &netlink.Addr{IPNet: full(a), Scope: int(netlink.SCOPE_HOST)}
		if a.Is6() { // deprecated at once: never a source by itself
			addr.Flags, addr.ValidLft, addr.PreferedLft = unix.IFA_F_NODAD, forever, 0
		}
		if err := netlink.AddrReplace(lo, addr); err != nil {
			return fmt.Errorf("give address %s to lo: %w", a, err)
		}
	}
	return nil
}

// routeServices makes a whole range local, with the node's address as source
// for its own connections.
func (n Node) routeServices(lo int, p netip.Prefix) error {
	route := &netlink.Route{
		LinkIndex: lo, Dst: ipNet(p), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
		Scope: netlink.SCOPE_HOST, Protocol: protocol, Family: familyOf(p.Addr()),
	}
	if err := withSource(route, n.NodeIPs, netlink.RouteReplace); err != nil {
		return fmt.Errorf("local route for the services' range %s: %w", p, err)
	}
	return nil
}

func (n Node) settings() []setting {
	out := []setting{{"ipv4/ip_forward", "1"}}
	if !slices.ContainsFunc(n.PodCIDRs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return out
	}
	// A machine that forwards stops listening to routers unless it is told to
	// go on: without this its own default route would run out.
	if up, err := FindUplink(); err == nil {
		path := "ipv6/conf/" + up.Name + "/accept_ra"
		if is, err := os.ReadFile("/proc/sys/net/" + path); err == nil && strings.TrimSpace(string(is)) == "1" {
			out = append(out, setting{path, "2"})
		}
	}
	return append(out, setting{"ipv6/conf/all/forwarding", "1"})
}

// Clash refuses ranges that overlap a network which this machine is in: those who
// are there would not be reached any more. SetUp refuses only what holds an address
// of the machine: a cluster that is there already must start in any network that
// a laptop is carried to.
func (n Node) Clash() error { return n.clash(true) }

func (n Node) clash(networks bool) error {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list the machine's addresses: %w", err)
	}
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		if slices.Contains(n.Local, ip) {
			continue
		}
		for _, r := range []struct {
			ranges     []netip.Prefix
			what, flag string
		}{{n.PodCIDRs, "pods", "--cluster-cidr"}, {n.ServiceCIDRs, "services", "--service-cidr"}} {
			for _, p := range r.ranges {
				is := ""
				switch network := netip.PrefixFrom(ip, ones(a.IPNet)).Masked(); {
				case p.Contains(ip):
					is = fmt.Sprintf("holds this machine's own address %s", ip)
				case networks && network.Overlaps(p):
					is = fmt.Sprintf("lies in the network %s, which this machine is in", network)
				default:
					continue
				}
				name := fmt.Sprint(a.LinkIndex)
				if l, err := netlink.LinkByIndex(a.LinkIndex); err == nil {
					name = l.Attrs().Name
				}
				return fmt.Errorf("the range %s of the %s %s by interface %s; choose another range with %s", p, r.what, is, name, r.flag)
			}
		}
	}
	return nil
}

// Remove takes away every wire, route and address that this package made in
// this network namespace. It goes on after an error and returns all of them.
func Remove(n Node) error {
	var problems []error
	wires, err := List()
	problems = append(problems, err)
	for _, w := range wires {
		problems = append(problems, Detach(w.Host))
	}
	problems = append(problems, RemoveOverlay())
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		// Table 0 lists the routes of all tables.
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Protocol: protocol, Table: unix.RT_TABLE_UNSPEC},
			netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			problems = append(problems, fmt.Errorf("list routes: %w", err))
		}
		for i := range routes {
			if err := netlink.RouteDel(&routes[i]); err != nil && !errors.Is(err, unix.ESRCH) {
				problems = append(problems, fmt.Errorf("remove route %s: %w", routes[i].Dst, err))
			}
		}
	}
	for _, a := range n.Local {
		err := netlink.AddrDel(lo, &netlink.Addr{IPNet: full(a)})
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			problems = append(problems, fmt.Errorf("take address %s from lo: %w", a, err))
		}
	}
	return errors.Join(problems...)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}
