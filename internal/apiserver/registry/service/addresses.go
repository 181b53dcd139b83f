package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

var (
	errAllocated  = errors.New("provided IP is already allocated")
	errMismatched = errors.New("the provided network does not match the current range")
)

// addresses are the cluster addresses of one family.
type addresses struct {
	prefix netip.Prefix
	first  netip.Addr // number 0
	*numbers
}

func newAddresses(p netip.Prefix) (*addresses, error) {
	p = p.Masked()
	host := p.Addr().BitLen() - p.Bits()
	if host < 2 {
		return nil, fmt.Errorf("service CIDR %s is too small", p)
	}
	size := uint64(1) << min(host, 62)
	size-- // the network's own address
	if p.Addr().Is4() {
		size-- // the broadcast address
	}
	static := min(max(16, size/16), 256)
	if size <= 16 {
		static = 0
	}
	return &addresses{prefix: p, first: p.Addr().Next(), numbers: newNumbers(size, static)}, nil
}

func low64(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:])
}

// number is the number of a, which must be one that may be given out.
func (s *addresses) number(a netip.Addr) (uint64, error) {
	if !s.prefix.Contains(a) {
		return 0, errMismatched
	}
	n := low64(a) - low64(s.first)
	if a.Less(s.first) || n >= s.size {
		return 0, fmt.Errorf("the provided IP (%v) is not in the valid range. The range of valid IPs is %s", a, s.prefix)
	}
	return n, nil
}

func (s *addresses) reserve(a netip.Addr) error {
	n, err := s.number(a)
	if err != nil {
		return err
	}
	if !s.take(n) {
		return errAllocated
	}
	return nil
}

func (s *addresses) any() (netip.Addr, error) {
	n, err := s.next()
	if err != nil {
		return netip.Addr{}, err
	}
	b := s.first.As16()
	binary.BigEndian.PutUint64(b[8:], low64(s.first)+n)
	a := netip.AddrFrom16(b)
	if s.first.Is4() {
		a = a.Unmap()
	}
	return a, nil
}

func (s *addresses) release(a netip.Addr) {
	if n, err := s.number(a); err == nil {
		s.free(n)
	}
}

func familyOf(a netip.Addr) corev1.IPFamily {
	if a.Is4() || a.Is4In6() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}
