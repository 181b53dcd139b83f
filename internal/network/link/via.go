package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Way is how another node is reached.
type Way struct {
	// Gateway is the next hop: the node's address, or its end of the overlay.
	Gateway netip.Addr
	Overlay bool
}

// Near reports whether a node is on a segment with this one, so that it can be
// the next hop itself.
func Near(node netip.Addr) (bool, error) {
	routes, err := netlink.RouteGet(node.AsSlice())
	if err != nil {
		return false, fmt.Errorf("no way to node %s: %w", node, err)
	}
	return len(routes) == 1 && routes[0].Gw == nil && routes[0].Via == nil && len(routes[0].MultiPath) == 0, nil
}

// route is what w is to the kernel.
func (w Way) route(pod netip.Addr) (*netlink.Route, error) {
	r := &netlink.Route{Dst: full(pod), Gw: w.Gateway.AsSlice(), Protocol: protocol, Family: familyOf(pod)}
	if !w.Overlay {
		return r, nil
	}
	l, err := netlink.LinkByName(overlayName)
	if err != nil {
		return nil, err
	}
	r.LinkIndex, r.Flags = l.Attrs().Index, int(netlink.FLAG_ONLINK)
	return r, nil
}

// RouteVia leads what is for a pod of another node to that node. It takes the
// place of the pod's own wire, if that is still here.
func RouteVia(pod netip.Addr, way Way, sources []netip.Addr) error {
	r, err := way.route(pod)
	if err == nil {
		err = withSource(r, sources, netlink.RouteReplace)
	}
	if err != nil {
		return fmt.Errorf("route to pod address %s by %s: %w", pod, way.Gateway, err)
	}
	return nil
}

// Unroute takes such a route away. One that leads elsewhere meanwhile stays; where
// late news had taken a pod's own wire out of use, that is in use again.
func Unroute(pod netip.Addr, way Way, sources []netip.Addr) error {
	r, err := way.route(pod)
	if isGone(err) {
		return nil // and the route with its interface
	}
	if err == nil {
		err = netlink.RouteDel(r)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err == nil {
		err = rewire(pod, sources)
	}
	if err != nil {
		return fmt.Errorf("remove the route to pod address %s by %s: %w", pod, way.Gateway, err)
	}
	return nil
}

// rewire leads to a pod's own wire again, if it is here: that knows the pod as
// its neighbour.
func rewire(pod netip.Addr, sources []netip.Addr) error {
	entries, err := netlink.NeighList(0, familyOf(pod))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, e := range entries {
		if ip, _ := netip.AddrFromSlice(e.IP); ip.Unmap() != pod || e.State&netlink.NUD_PERMANENT == 0 {
			continue
		}
		if l, err := netlink.LinkByIndex(e.LinkIndex); err != nil || l.Type() != "veth" || !isWire(l.Attrs()) {
			continue
		}
		return withSource(wireRoute(e.LinkIndex, pod), sources, netlink.RouteReplace)
	}
	return nil
}

// ours calls f for every route of ours to one address.
func ours(f func(pod netip.Addr, r *netlink.Route)) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list routes: %w", err)
		}
		for i := range routes {
			r := &routes[i]
			if r.Dst == nil || r.Type != unix.RTN_UNICAST {
				continue
			}
			if pod, ok := netip.AddrFromSlice(r.Dst.IP); ok {
				f(pod.Unmap(), r)
			}
		}
	}
	return nil
}

// Vias are the routes that RouteVia made, also an earlier process's.
func Vias() (map[netip.Addr]Way, error) {
	overlay := 0
	if l, err := netlink.LinkByName(overlayName); err == nil {
		overlay = l.Attrs().Index
	}
	out := map[netip.Addr]Way{}
	err := ours(func(pod netip.Addr, r *netlink.Route) {
		if node, ok := netip.AddrFromSlice(r.Gw); ok {
			out[pod] = Way{Gateway: node.Unmap(), Overlay: overlay != 0 && r.LinkIndex == overlay}
		}
	})
	return out, err
}

// Wired are the addresses that have a wire here.
func Wired() (map[netip.Addr]bool, error) {
	out := map[netip.Addr]bool{}
	err := ours(func(pod netip.Addr, r *netlink.Route) {
		if r.Gw == nil {
			out[pod] = true
		}
	})
	return out, err
}
