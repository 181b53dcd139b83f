package hostport

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/conntrack"
	"berth.dev/berth/internal/plan/podspec"
)

// forget ends the flows of datagrams that the mappings make wrong: those that
// lead to a pod that has the port no more, and those that began before a pod had
// it. Who sends on and on would never meet the new rules. Other protocols make
// connections, which end by themselves.
func forget(gone, come []podspec.PortMapping) error {
	var old, fresh []podspec.PortMapping
	for _, m := range gone {
		if m.Protocol == unix.IPPROTO_UDP {
			old = append(old, m)
		}
	}
	for _, m := range come {
		if m.Protocol == unix.IPPROTO_UDP {
			fresh = append(fresh, m)
		}
	}
	if len(old)+len(fresh) == 0 {
		return nil
	}
	own, err := ownAddresses()
	if err != nil {
		return err
	}
	var match [2]conntrack.Match
	for i, f := range families {
		if left, right := f.of(old), f.of(fresh); len(left)+len(right) > 0 {
			match[i] = wrong(left, right, own)
		}
	}
	if err := conntrack.Forget(match[0], match[1]); err != nil {
		return fmt.Errorf("datagrams to host ports may go on to where they went before: %w", err)
	}
	return nil
}

// wrong finds the flows that go elsewhere than the mappings say.
func wrong(old, fresh []podspec.PortMapping, own map[netip.Addr]bool) conntrack.Match {
	return func(protocol uint8, to, from netip.AddrPort) bool {
		if protocol != unix.IPPROTO_UDP {
			return false
		}
		for _, m := range fresh {
			mine := m.HostIP == to.Addr() || !m.HostIP.IsValid() && (own[to.Addr()] || to.Addr().IsLoopback())
			if mine && m.HostPort == to.Port() {
				return from != netip.AddrPortFrom(m.Pod, m.Port)
			}
		}
		for _, m := range old {
			if m.HostPort == to.Port() && from == netip.AddrPortFrom(m.Pod, m.Port) {
				return true
			}
		}
		return false
	}
}

func ownAddresses() (map[netip.Addr]bool, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the node's addresses: %w", err)
	}
	own := map[netip.Addr]bool{}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			own[ip.Unmap()] = true
		}
	}
	return own, nil
}
