package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// HostMAC is the hardware address of every wire's host end.
func HostMAC() net.HardwareAddr { return hostMAC }

// Check reports whether a wire is up and has the routes to its addresses.
func Check(hostName string, addrs []netip.Addr) error {
	l, err := netlink.LinkByName(hostName)
	if err != nil {
		return fmt.Errorf("interface %s: %w", hostName, err)
	}
	if l.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("interface %s is down", hostName)
	}
	for _, a := range addrs {
		routes, err := netlink.RouteListFiltered(familyOf(a), &netlink.Route{Dst: full(a), LinkIndex: l.Attrs().Index}, netlink.RT_FILTER_DST|netlink.RT_FILTER_OIF)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list routes: %w", err)
		}
		if len(routes) == 0 {
			return fmt.Errorf("the route to %s over %s is missing", a, hostName)
		}
	}
	return nil
}
