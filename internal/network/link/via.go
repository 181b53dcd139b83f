package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RouteVia leads what is for a pod of another node to that node, which has to be
// on a segment with this one. It takes the place of the pod's own wire, if that
// is still here.
func RouteVia(pod, node netip.Addr, sources []netip.Addr) error {
	err := withSource(&netlink.Route{Dst: full(pod), Gw: node.AsSlice(), Protocol: protocol, Family: familyOf(pod)}, sources, netlink.RouteReplace)
	if err != nil {
		return fmt.Errorf("route to pod address %s by node %s: %w", pod, node, err)
	}
	return nil
}

// Unroute takes such a route away. One that leads elsewhere meanwhile stays.
func Unroute(pod, node netip.Addr) error {
	err := netlink.RouteDel(&netlink.Route{Dst: full(pod), Gw: node.AsSlice(), Protocol: protocol, Family: familyOf(pod)})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove the route to pod address %s by node %s: %w", pod, node, err)
	}
	return nil
}

// Vias are the routes that RouteVia made, also an earlier process's: pod to node.
func Vias() (map[netip.Addr]netip.Addr, error) {
	out := map[netip.Addr]netip.Addr{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for i := range routes {
			r := &routes[i]
			if r.Dst == nil || r.Gw == nil {
				continue
			}
			pod, ok := netip.AddrFromSlice(r.Dst.IP)
			node, too := netip.AddrFromSlice(r.Gw)
			if ok && too {
				out[pod.Unmap()] = node.Unmap()
			}
		}
	}
	return out, nil
}
