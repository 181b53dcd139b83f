package host

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netns"
)

// Dial connects from inside the host's network; it fits rest.Config.Dial.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return inside(h.network(), func() (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
}

// DialFrom connects from inside another network of the host, such as a pod's,
// given by the path of its namespace as the host sees it.
func (h *Host) DialFrom(ctx context.Context, namespace, network, addr string) (net.Conn, error) {
	return inside(fmt.Sprintf("/proc/%d/root%s", h.pid, namespace), func() (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
}

func (h *Host) network() string { return fmt.Sprintf("/proc/%d/ns/net", h.pid) }

// inside runs open in a network namespace.
func inside[T any](namespace string, open func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		// The thread stays in that network and ends with this goroutine.
		runtime.LockOSThread()
		ns, err := netns.GetFromPath(namespace)
		if err != nil {
			done <- result{err: err}
			return
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			done <- result{err: err}
			return
		}
		value, err := open()
		done <- result{value, err}
	}()
	r := <-done
	return r.value, r.err
}
