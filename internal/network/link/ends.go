package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inside returns a netlink handle that works in another network namespace.
func inside(fd int) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink in the pod's network namespace: %w", err)
	}
	return h, nil
}

// setUpPod gives the pod's end its addresses and routes.
func (w Wire) setUpPod() error {
	pod, err := inside(w.NetNS)
	if err != nil {
		return err
	}
	defer pod.Close()
	lo, err := pod.LinkByName("lo")
	if err == nil {
		err = pod.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring up lo in the pod: %w", err)
	}
	eth, err := pod.LinkByName(w.Pod)
	if err != nil {
		return fmt.Errorf("find %s in the pod: %w", w.Pod, err)
	}
	for _, a := range w.Addrs {
		if w.Beside {
			break
		}
		addr := &netlink.Addr{IPNet: full(a)}
		if a.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := pod.AddrReplace(eth, addr); err != nil {
			return fmt.Errorf("give address %s to %s: %w", a, w.Pod, err)
		}
	}
	if w.Beside && w.LinkAddr.IsValid() {
		addr := &netlink.Addr{IPNet: full(w.LinkAddr), Scope: int(netlink.SCOPE_LINK)}
		if w.LinkAddr.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := pod.AddrReplace(eth, addr); err != nil {
			return fmt.Errorf("give address %s to %s: %w", w.LinkAddr, w.Pod, err)
		}
	}
	if err := pod.LinkSetUp(eth); err != nil {
		return fmt.Errorf("bring up %s in the pod: %w", w.Pod, err)
	}
	index := eth.Attrs().Index
	for _, a := range w.Addrs {
		gw := gatewayOf(a)
		if err := permanent(pod, index, gw, hostMAC); err != nil {
			return err
		}
		if a.Is4() { // in IPv6 every link has fe80::/64
			if err := pod.RouteReplace(&netlink.Route{LinkIndex: index, Dst: full(gw), Scope: netlink.SCOPE_LINK}); err != nil {
				return fmt.Errorf("route to %s in the pod: %w", gw, err)
			}
		}
		if w.Beside {
			if err := leadTo(pod, index, w.To, a); err != nil {
				return err
			}
			continue
		}
		if err := pod.RouteReplace(&netlink.Route{LinkIndex: index, Dst: anyOf(a), Gw: gw.AsSlice()}); err != nil {
			return fmt.Errorf("default route in the pod: %w", err)
		}
	}
	return nil
}

// maxAlias is the kernel's limit (IFALIASZ less its final zero); a pod's
// namespace and name can be longer.
const maxAlias = 255

// setUpHost brings up the host's end and routes the pod's addresses to it.
func (w Wire) setUpHost(host *netlink.Handle) error {
	veth, err := host.LinkByName(w.Host)
	if err != nil {
		return fmt.Errorf("find %s: %w", w.Host, err)
	}
	alias := aliasPrefix + w.Owner
	if err := host.LinkSetAlias(veth, alias[:min(len(alias), maxAlias)]); err != nil {
		return fmt.Errorf("mark %s: %w", w.Host, err)
	}
	if w.Beside {
		if err := host.LinkSetGroup(veth, BesideGroup); err != nil {
			return fmt.Errorf("mark %s: %w", w.Host, err)
		}
	}
	if err := w.sysctls(); err != nil {
		return err
	}
	if err := host.LinkSetUp(veth); err != nil {
		return fmt.Errorf("bring up %s: %w", w.Host, err)
	}
	index := veth.Attrs().Index
	for _, a := range w.Addrs {
		if err := permanent(host, index, a, MAC(w.Addrs[0])); err != nil {
			return err
		}
		// Replace: the route may still lead to the wire of an earlier sandbox.
		if err := withSource(wireRoute(index, a), w.Sources, host.RouteReplace); err != nil {
			return fmt.Errorf("route to pod address %s over %s: %w", a, w.Host, err)
		}
	}
	return nil
}

// wireRoute leads to a pod's wire.
func wireRoute(index int, a netip.Addr) *netlink.Route {
	route := &netlink.Route{LinkIndex: index, Dst: full(a), Scope: netlink.SCOPE_LINK, Protocol: protocol}
	if a.Is6() {
		route.Scope = netlink.SCOPE_UNIVERSE
	}
	return route
}

// withSource makes a route that prefers the node's address as source, or
// without when that address is not on this machine.
func withSource(r *netlink.Route, sources []netip.Addr, replace func(*netlink.Route) error) error {
	for _, ip := range sources {
		if ip.Is4() == (len(r.Dst.IP) == net.IPv4len) {
			r.Src = ip.AsSlice()
		}
	}
	err := replace(r)
	if errors.Is(err, unix.EINVAL) && r.Src != nil {
		r.Src = nil
		err = replace(r)
	}
	return err
}

// sysctls of the host's end: answer for the gateway if the pod ever asks
// (without the random delay of a proxy), and accept from the pod only its own
// address as source.
func (w Wire) sysctls() error {
	has6 := false
	for _, a := range w.Addrs {
		has6 = has6 || a.Is6()
	}
	settings := []setting{
		{"ipv4/conf/" + w.Host + "/proxy_arp", "1"},
		{"ipv4/neigh/" + w.Host + "/proxy_delay", "0"},
		{"ipv4/conf/" + w.Host + "/rp_filter", "1"},
	}
	if !has6 { // no router solicitations and reports from a link that has no use for them
		settings = append(settings, setting{"ipv6/conf/" + w.Host + "/disable_ipv6", "1"})
	}
	return apply(settings)
}

func permanent(h *netlink.Handle, index int, a netip.Addr, mac net.HardwareAddr) error {
	family := netlink.FAMILY_V4
	if a.Is6() {
		family = netlink.FAMILY_V6
	}
	err := h.NeighSet(&netlink.Neigh{LinkIndex: index, Family: family, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac})
	if err != nil {
		return fmt.Errorf("neighbour entry for %s: %w", a, err)
	}
	return nil
}

func gatewayOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return Gateway
	}
	return Gateway6
}

func full(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

func anyOf(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: make(net.IP, a.BitLen()/8), Mask: net.CIDRMask(0, a.BitLen())}
}

// setting is a value below /proc/sys/net.
type setting struct{ path, value string }

// apply writes settings that differ, so that a read-only /proc/sys is no
// obstacle when all is as it should be. Missing IPv6 settings mean a kernel
// without IPv6.
func apply(settings []setting) error {
	for _, s := range settings {
		path := "/proc/sys/net/" + s.path
		is, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(s.path, "ipv6/") {
			continue
		}
		if err == nil && strings.TrimSpace(string(is)) == s.value {
			continue
		}
		if err := os.WriteFile(path, []byte(s.value), 0); err != nil {
			return fmt.Errorf("set %s to %s: %w (is /proc/sys read-only? set it on the machine then)", path, s.value, err)
		}
	}
	return nil
}
