package host

import "net"

// Listen listens inside the host's network, for a server that is part of the
// test program.
func (h *Host) Listen(network, addr string) (net.Listener, error) {
	return inside(h.network(), func() (net.Listener, error) { return net.Listen(network, addr) })
}
