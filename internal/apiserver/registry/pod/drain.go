package pod

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
)

// drained is a connection to an agent that is read to its end. When a command
// ends, the agent closes the connection while the client may still be sending
// (the end of its stdin, for one). The library's proxy takes the failed write
// for the end of the whole connection and drops what the agent has said but
// the client has not read yet: output and even the exit code. So such a write
// counts as done, and the connection ends with what the agent said last.
type drained struct {
	net.Conn
	deaf atomic.Bool // the agent reads no more
}

func (d *drained) Write(p []byte) (int, error) {
	if d.deaf.Load() {
		return len(p), nil
	}
	n, err := d.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		d.deaf.Store(true)
		return len(p), nil
	}
	return n, err
}

// drain makes the connections of a dial function drained ones.
func drain(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &drained{Conn: conn}, nil
	}
}
