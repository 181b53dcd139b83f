package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"berth.dev/berth/internal/base/conntrack"
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
	var v4, v6 []packet.Flow
	for _, f := range list {
		if f.Front.Addr.Is6() {
			v6 = append(v6, f)
		} else {
			v4 = append(v4, f)
		}
	}
	return conntrack.Forget(matching(v4), matching(v6))
}

// matching finds the flows among all connections.
func matching(list []packet.Flow) conntrack.Match {
	if len(list) == 0 {
		return nil
	}
	return func(protocol uint8, to, from netip.AddrPort) bool {
		return slices.ContainsFunc(list, func(f packet.Flow) bool { return f.Matches(packet.Protocol(protocol), to, from) })
	}
}
