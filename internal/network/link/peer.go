package link

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetPeer writes down where a node's end is, and leads there what pods send to
// the node itself, by the addresses that it has now. Repeating it changes nothing.
func SetPeer(p Peer) error {
	l, err := netlink.LinkByName(overlayName)
	if err != nil {
		return fmt.Errorf("interface %s: %w", overlayName, err)
	}
	index, mac := l.Attrs().Index, overlayMAC(p.Underlay)
	if err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT | netlink.NUD_NOARP, Flags: netlink.NTF_SELF,
		IP: p.Underlay.AsSlice(), HardwareAddr: mac,
	}); err != nil {
		return fmt.Errorf("where the node %s is: %w", p.Underlay, err)
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer host.Close()
	for _, gw := range p.gateways() {
		if err := permanent(host, index, gw, mac); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return err
		}
	}
	for _, a := range p.Addrs {
		way, ok := p.Way(a)
		if !ok {
			continue
		}
		r := &netlink.Route{
			LinkIndex: index, Dst: full(a), Gw: way.Gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
			Table: overlayTable, Protocol: protocol, Family: familyOf(a),
		}
		if err := host.RouteReplace(r); err != nil {
			return fmt.Errorf("route from pods to node %s: %w", a, err)
		}
	}
	var problems []error
	for _, gw := range p.gateways() {
		problems = append(problems, unroute(index, gw, p.Addrs))
	}
	return errors.Join(problems...)
}

// RemovePeer forgets a node, however many addresses it had. It is no error when
// there is nothing.
func RemovePeer(underlay netip.Addr) error {
	l, err := netlink.LinkByName(overlayName)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", overlayName, err)
	}
	index, mac := l.Attrs().Index, overlayMAC(underlay)
	var problems []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6, unix.AF_BRIDGE} {
		entries, err := netlink.NeighList(index, family)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			problems = append(problems, fmt.Errorf("list neighbours: %w", err))
		}
		for i := range entries {
			e := &entries[i]
			if !bytes.Equal(e.HardwareAddr, mac) {
				continue
			}
			if ip, ok := netip.AddrFromSlice(e.IP); ok && family != unix.AF_BRIDGE {
				problems = append(problems, unroute(index, ip.Unmap(), nil))
			}
			if err := netlink.NeighDel(e); err != nil && !errors.Is(err, unix.ENOENT) {
				problems = append(problems, fmt.Errorf("forget where node %s is: %w", underlay, err))
			}
		}
	}
	return errors.Join(problems...)
}

// unroute takes away the ways to a node's own addresses by one next hop, but for
// some.
func unroute(index int, by netip.Addr, but []netip.Addr) error {
	routes, err := netlink.RouteListFiltered(familyOf(by), &netlink.Route{Table: overlayTable, LinkIndex: index, Gw: by.AsSlice()},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_GW)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("list routes: %w", err)
	}
	var problems []error
	for i := range routes {
		if to, ok := netip.AddrFromSlice(routes[i].Dst.IP); ok && slices.Contains(but, to.Unmap()) {
			continue
		}
		if err := netlink.RouteDel(&routes[i]); err != nil && !errors.Is(err, unix.ESRCH) {
			problems = append(problems, fmt.Errorf("remove the route to %s: %w", routes[i].Dst, err))
		}
	}
	return errors.Join(problems...)
}

// Peers are where envelopes may be sent, also as an earlier process left it.
func Peers() ([]netip.Addr, error) {
	l, err := netlink.LinkByName(overlayName)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", overlayName, err)
	}
	entries, err := netlink.NeighList(l.Attrs().Index, unix.AF_BRIDGE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list where nodes are: %w", err)
	}
	var out []netip.Addr
	for _, e := range entries {
		if ip, ok := netip.AddrFromSlice(e.IP); ok {
			out = append(out, ip.Unmap())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}
