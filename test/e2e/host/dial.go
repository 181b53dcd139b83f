package host

import (
	"context"
	"net"
	"runtime"

	"github.com/vishvananda/netns"
)

// Dial connects from inside the host's network; it fits rest.Config.Dial.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// The thread stays in the host's network and ends with this goroutine.
		runtime.LockOSThread()
		ns, err := netns.GetFromPid(h.pid)
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
