package hostport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/plan/podspec"
)

// family is what differs between IPv4 and IPv6.
type family struct {
	table    nftables.TableFamily
	nfproto  uint32
	addr     nftables.SetDatatype
	size     uint32 // of an address, in bytes
	src, dst uint32 // where the header has them
}

var (
	v4       = &family{nftables.TableFamilyIPv4, unix.NFPROTO_IPV4, nftables.TypeIPAddr, 4, 12, 16}
	v6       = &family{nftables.TableFamilyIPv6, unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 16, 8, 24}
	families = []*family{v4, v6}

	loopback = netip.MustParsePrefix("127.0.0.0/8")
)

// of are the mappings to pods' addresses of this family.
func (f *family) of(list []podspec.PortMapping) []podspec.PortMapping {
	return slices.DeleteFunc(slices.Clone(list), func(m podspec.PortMapping) bool { return m.Pod.Is4() != (f == v4) })
}

// fromLoopback lets packets of the node's loopback pass the wires of these pods;
// IPv6 has no such thing. The setting ends with the wire.
func (f *family) fromLoopback(list []podspec.PortMapping) error {
	if f != v4 {
		return nil
	}
	var problems []error
	done := map[netip.Addr]bool{}
	for _, m := range list {
		if !done[m.Pod] {
			done[m.Pod] = true
			problems = append(problems, openWire(m.Pod))
		}
	}
	return errors.Join(problems...)
}

// openWire finds the wire by the route that leads to the pod alone.
func openWire(pod netip.Addr) error {
	to := &net.IPNet{IP: pod.AsSlice(), Mask: net.CIDRMask(32, 32)}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: to}, netlink.RT_FILTER_DST)
	if err != nil {
		return fmt.Errorf("find the wire of pod address %s: %w", pod, err)
	}
	for _, r := range routes {
		if r.Gw != nil || r.LinkIndex == 0 || r.Dst == nil || r.Dst.String() != to.String() {
			continue
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			continue // it has just gone
		}
		path := "/proc/sys/net/ipv4/conf/" + link.Attrs().Name + "/route_localnet"
		if now, err := os.ReadFile(path); err == nil && len(now) > 0 && now[0] == '1' {
			continue
		}
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("let the node's loopback reach pod address %s: %w", pod, err)
		}
	}
	return nil
}
