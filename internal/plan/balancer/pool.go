// Package balancer decides which address of a pool a Service of type
// LoadBalancer has.
package balancer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Range is the addresses from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// Pool is what addresses are taken from, in this order.
type Pool []Range

// ParsePool reads ranges such as 192.0.2.240-192.0.2.250, 192.0.2.0/28 or a
// single address. A prefix's network and broadcast addresses are left out.
func ParsePool(texts []string) (Pool, error) {
	var out Pool
	for _, text := range texts {
		r, err := parse(text)
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if r.overlaps(other) {
				return nil, fmt.Errorf("%q overlaps %s", text, other)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func parse(text string) (Range, error) {
	wrong := fmt.Errorf("%q is no range of addresses such as 192.0.2.240-192.0.2.250 or 192.0.2.0/28", text)
	if p, err := netip.ParsePrefix(text); err == nil {
		r := Range{p.Masked().Addr(), last(p)}
		if p != p.Masked() {
			return Range{}, fmt.Errorf("%q: its first address is %s", text, p.Masked().Addr())
		}
		if host := p.Addr().BitLen() - p.Bits(); p.Addr().Is4() && host > 1 {
			r = Range{r.First.Next(), r.Last.Prev()}
		}
		return r, nil
	}
	from, to, both := strings.Cut(text, "-")
	if !both {
		to = from
	}
	first, err := netip.ParseAddr(strings.TrimSpace(from))
	end, err2 := netip.ParseAddr(strings.TrimSpace(to))
	if err != nil || err2 != nil || first.Is4() != end.Is4() || end.Less(first) || first.Zone() != "" || end.Zone() != "" {
		return Range{}, wrong
	}
	return Range{first, end}, nil
}

func last(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(bytes); i++ {
		bytes[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

func (r Range) overlaps(o Range) bool { return !o.Last.Less(r.First) && !r.Last.Less(o.First) }

func (r Range) contains(a netip.Addr) bool { return !a.Less(r.First) && !r.Last.Less(a) }

// String is how the range is written.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Overlaps says whether some address of a prefix is in the pool.
func (p Pool) Overlaps(prefix netip.Prefix) bool {
	return slices.ContainsFunc(p, func(r Range) bool { return r.overlaps(Range{prefix.Masked().Addr(), last(prefix)}) })
}

// Contains says whether the pool has the address.
func (p Pool) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(r Range) bool { return r.contains(a) })
}

// family is the pool's part of one family.
func (p Pool) family(v6 bool) Pool {
	var out Pool
	for _, r := range p {
		if r.First.Is6() == v6 {
			out = append(out, r)
		}
	}
	return out
}

// free is the first address that nobody has. It looks at no more addresses than
// are taken, and one.
func (p Pool) free(taken map[netip.Addr]string) (netip.Addr, bool) {
	for _, r := range p {
		for a := r.First; r.contains(a); a = a.Next() {
			if _, used := taken[a]; !used {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

// used is how many of the pool's addresses are taken.
func (p Pool) used(taken map[netip.Addr]string) int {
	n := 0
	for a := range taken {
		if p.Contains(a) {
			n++
		}
	}
	return n
}

// String is how the pool is written.
func (p Pool) String() string {
	var out []string
	for _, r := range p {
		out = append(out, r.String())
	}
	return strings.Join(out, ",")
}
