package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/plan/packet"
)

// flows makes the kernel forget connections that lead to endpoints which are
// none any more. Looking through all connections takes its time, so it is not
// done while rules wait to be written.
type flows struct {
	log     *slog.Logger
	mu      sync.Mutex
	pending []packet.Flow
	wake    chan struct{}
}

func newFlows(log *slog.Logger) *flows { return &flows{log: log, wake: make(chan struct{}, 1)} }

func (f *flows) drop(list []packet.Flow) {
	if len(list) == 0 {
		return
	}
	f.mu.Lock()
	f.pending = append(f.pending, list...)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *flows) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		f.mu.Lock()
		list := f.pending
		f.pending = nil
		f.mu.Unlock()
		if err := forget(list); err != nil {
			f.log.Warn("connections to former endpoints may go on for a while", "err", err)
		}
	}
}

// forget removes the flows from the kernel's connections, each family at one go.
func forget(list []packet.Flow) error {
	var v4, v6 matching
	for _, f := range list {
		if f.Front.Addr.Is6() {
			v6 = append(v6, f)
		} else {
			v4 = append(v4, f)
		}
	}
	var problems []error
	for family, want := range map[netlink.InetFamily]matching{unix.AF_INET: v4, unix.AF_INET6: v6} {
		if len(want) > 0 {
			_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, want)
			if !errors.Is(err, unix.ENOENT) { // it ended by itself meanwhile
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

// matching are the flows to find among all connections.
type matching []packet.Flow

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (m matching) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	to, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	from, ok2 := netip.AddrFromSlice(flow.Reverse.SrcIP)
	if !ok || !ok2 {
		return false
	}
	for _, f := range m {
		if f.Matches(packet.Protocol(flow.Forward.Protocol), netip.AddrPortFrom(to.Unmap(), flow.Forward.DstPort), netip.AddrPortFrom(from.Unmap(), flow.Reverse.SrcPort)) {
			return true
		}
	}
	return false
}
