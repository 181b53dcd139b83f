// Package conntrack makes the kernel forget connections, so that the next
// packet of each meets the rules as they are now.
package conntrack

import (
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Match says whether a connection is to be forgotten, by where it was sent to
// and who answers.
type Match func(protocol uint8, to, from netip.AddrPort) bool

// Forget removes connections; a family without a Match is not looked through.
func Forget(v4, v6 Match) error {
	var problems []error
	for family, match := range map[netlink.InetFamily]Match{unix.AF_INET: v4, unix.AF_INET6: v6} {
		if match == nil {
			continue
		}
		_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, match)
		if !errors.Is(err, unix.ENOENT) { // it ended by itself meanwhile
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (m Match) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	to, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	from, ok2 := netip.AddrFromSlice(flow.Reverse.SrcIP)
	return ok && ok2 && m(flow.Forward.Protocol, netip.AddrPortFrom(to.Unmap(), flow.Forward.DstPort), netip.AddrPortFrom(from.Unmap(), flow.Reverse.SrcPort))
}
