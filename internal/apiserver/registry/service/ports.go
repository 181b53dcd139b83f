package service

import (
	"errors"
	"fmt"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

var errPortAllocated = errors.New("provided port is already allocated")

// ports are the node ports, each taken or free.
type ports struct {
	within utilnet.PortRange
	*numbers
}

func newPorts(within utilnet.PortRange) *ports {
	size := uint64(within.Size)
	static := min(max(16, size/32), 128)
	if size <= 32 {
		static = 0
	}
	return &ports{within: within, numbers: newNumbers(size, static)}
}

func (p *ports) reserve(port int32) error {
	if !p.within.Contains(int(port)) {
		return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %s", p.within.String())
	}
	if !p.take(uint64(int(port) - p.within.Base)) {
		return errPortAllocated
	}
	return nil
}

func (p *ports) any() (int32, error) {
	n, err := p.next()
	return int32(p.within.Base) + int32(n), err
}

// portsNow are the node ports with those marked that stored Services hold, or
// requests under way. The lock is held.
func (a *Allocator) portsNow() (*ports, error) {
	stored, err := a.objects.Services()
	if err != nil {
		return nil, fmt.Errorf("reading the node ports of services: %w", err)
	}
	p := newPorts(a.nodePorts)
	for i := range stored {
		for _, port := range heldPorts(&stored[i]) {
			_ = p.reserve(port) // held twice, or outside: the repair tells
		}
	}
	for port := range a.underway {
		_ = p.reserve(port)
	}
	return p, nil
}
