package address

import (
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Family is an IP version.
type Family int64

// The two families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf tells the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Span is the addresses from First to Last, both included.
type Span struct {
	First, Last netip.Addr
}

// ParseSpan reads "10.6.168.101" or "10.6.168.101-10.6.168.110".
func ParseSpan(s string) (Span, error) {
	from, to, isRange := strings.Cut(s, "-")
	first, err := parseAddr(from)
	if err != nil {
		return Span{}, fmt.Errorf("%q is not an address or a range of addresses: %w", s, err)
	}
	if !isRange {
		return Span{first, first}, nil
	}
	last, err := parseAddr(to)
	if err != nil {
		return Span{}, fmt.Errorf("%q is not a range of addresses: %w", s, err)
	}
	if first.BitLen() != last.BitLen() {
		return Span{}, fmt.Errorf("%q mixes IPv4 and IPv6", s)
	}
	if last.Less(first) {
		return Span{}, fmt.Errorf("%q ends before it begins", s)
	}
	return Span{first, last}, nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return a, err
	}
	if a.Zone() != "" {
		return a, fmt.Errorf("a zone (%q) makes no sense here", a.Zone())
	}
	return a.Unmap(), nil
}

// ParseSpans reads a list of spans.
func ParseSpans(list []string) ([]Span, error) {
	out := make([]Span, 0, len(list))
	for _, s := range list {
		span, err := ParseSpan(s)
		if err != nil {
			return nil, err
		}
		out = append(out, span)
	}
	return out, nil
}

// String is the form that ParseSpan reads.
func (s Span) String() string {
	if s.First == s.Last {
		return s.First.String()
	}
	return s.First.String() + "-" + s.Last.String()
}

// Contains reports whether a lies in s.
func (s Span) Contains(a netip.Addr) bool {
	return a.BitLen() == s.First.BitLen() && !a.Less(s.First) && !s.Last.Less(a)
}

// SpanOf is all addresses of a subnet.
func SpanOf(p netip.Prefix) Span {
	p = p.Masked()
	return Span{p.Addr(), lastOf(p)}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// Usable is what a pool made of a whole subnet gives away: everything but the
// network address, the first address (by custom the router's) and, in IPv4,
// the broadcast address. Subnets of one or two addresses are used in full.
func Usable(p netip.Prefix) Span {
	all := SpanOf(p)
	if p.Addr().BitLen()-p.Bits() < 2 {
		return all
	}
	first, last := all.First.Next().Next(), all.Last
	if p.Addr().Is4() {
		last = last.Prev()
	}
	return Span{first, last}
}

// Merge sorts spans and joins those that touch or overlap.
func Merge(spans []Span) []Span {
	sorted := slices.Clone(spans)
	slices.SortFunc(sorted, func(a, b Span) int { return a.First.Compare(b.First) })
	var out []Span
	for _, s := range sorted {
		if n := len(out); n > 0 && touches(out[n-1], s) {
			if out[n-1].Last.Less(s.Last) {
				out[n-1].Last = s.Last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// touches reports whether b, which begins no earlier than a, continues a.
func touches(a, b Span) bool {
	if a.First.BitLen() != b.First.BitLen() {
		return false
	}
	return !a.Last.Less(b.First) || a.Last.Next() == b.First
}

// Subtract is the addresses of from that are not in minus.
func Subtract(from, minus []Span) []Span {
	from, minus = Merge(from), Merge(minus)
	var out []Span
	i := 0
	for _, s := range from {
		for i < len(minus) && minus[i].Last.Less(s.First) {
			i++
		}
		rest, gone := s, false
		for j := i; j < len(minus) && !s.Last.Less(minus[j].First); j++ {
			if rest.First.Less(minus[j].First) {
				out = append(out, Span{rest.First, minus[j].First.Prev()})
			}
			if !minus[j].Last.Less(rest.Last) {
				gone = true
				break
			}
			if !minus[j].Last.Less(rest.First) {
				rest.First = minus[j].Last.Next()
			}
		}
		if !gone {
			out = append(out, rest)
		}
	}
	return out
}

// Count is the number of addresses of disjoint spans, at most MaxInt64.
func Count(spans []Span) int64 {
	var total uint64
	for _, s := range spans {
		n, huge := s.size()
		if huge || n > math.MaxInt64-total {
			return math.MaxInt64
		}
		total += n
	}
	return int64(total)
}

// size is the number of addresses of s; huge means that it does not fit.
func (s Span) size() (n uint64, huge bool) {
	a, b := s.First.As16(), s.Last.As16()
	lo, borrow := bits.Sub64(be64(b[8:]), be64(a[8:]), 0)
	hi, _ := bits.Sub64(be64(b[:8]), be64(a[:8]), borrow)
	if hi != 0 || lo >= math.MaxInt64 {
		return 0, true
	}
	return lo + 1, false
}

func be64(b []byte) uint64 {
	var v uint64
	for _, x := range b[:8] {
		v = v<<8 | uint64(x)
	}
	return v
}

// Intersect is the addresses that are in both.
func Intersect(a, b []Span) []Span { return Subtract(a, Subtract(a, b)) }

// at is the address n places after the first.
func (s Span) at(n uint64) netip.Addr {
	b := s.First.As16()
	lo, carry := bits.Add64(be64(b[8:]), n, 0)
	hi := be64(b[:8]) + carry
	for i := range 8 {
		b[i], b[8+i] = byte(hi>>(56-8*i)), byte(lo>>(56-8*i))
	}
	a := netip.AddrFrom16(b)
	if s.First.Is4() {
		return a.Unmap()
	}
	return a
}
