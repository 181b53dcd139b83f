package address

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Pool is the wanted state of one pool.
type Pool struct {
	Name     string
	Family   Family
	Subnet   netip.Prefix
	Spans    []Span // what it has
	Excluded []Span // what of that is never given away
	Gateway  netip.Addr
	// Closed pools grant nothing; what they granted stays.
	Closed bool
}

// ParsePool reads the text form of a pool, as SpiderIPPool has it. A family of
// 0 follows from the subnet.
func ParsePool(name string, family Family, subnet string, ips, excluded []string, gateway string) (Pool, error) {
	p := Pool{Name: name, Family: family}
	var err error
	if p.Subnet, err = netip.ParsePrefix(subnet); err != nil {
		return p, fmt.Errorf("pool %q: subnet %q: %w", name, subnet, err)
	}
	p.Subnet = p.Subnet.Masked()
	is := FamilyOf(p.Subnet.Addr())
	if family == 0 {
		p.Family = is
	}
	if p.Family != is {
		return p, fmt.Errorf("pool %q: ipVersion is %d, but subnet %s is IPv%d", name, p.Family, p.Subnet, is)
	}
	if p.Spans, err = p.spansIn(ips); err != nil {
		return p, err
	}
	if p.Excluded, err = p.spansIn(excluded); err != nil {
		return p, err
	}
	if gateway != "" {
		if p.Gateway, err = netip.ParseAddr(gateway); err != nil {
			return p, fmt.Errorf("pool %q: gateway %q: %w", name, gateway, err)
		}
	}
	return p, nil
}

func (p *Pool) spansIn(list []string) ([]Span, error) {
	spans, err := ParseSpans(list)
	if err != nil {
		return nil, fmt.Errorf("pool %q: %w", p.Name, err)
	}
	for _, s := range spans {
		if !p.Subnet.Contains(s.First) || !p.Subnet.Contains(s.Last) {
			return nil, fmt.Errorf("pool %q: %s does not lie in subnet %s", p.Name, s, p.Subnet)
		}
	}
	return Merge(spans), nil
}

// equal reports whether two pools give away the same addresses.
func (p *Pool) equal(q *Pool) bool {
	return p.Family == q.Family && p.Subnet == q.Subnet && p.Gateway == q.Gateway &&
		slices.Equal(p.Spans, q.Spans) && slices.Equal(p.Excluded, q.Excluded)
}

// never is what no pod can be given: what is excluded, the gateway, and the
// network and broadcast address of an IPv4 subnet.
func (p *Pool) never() []Span {
	out := slices.Clone(p.Excluded)
	if p.Gateway.IsValid() {
		out = append(out, Span{p.Gateway, p.Gateway})
	}
	if p.Family == IPv4 && p.Subnet.Bits() <= 30 {
		all := SpanOf(p.Subnet)
		out = append(out, Span{all.First, all.First}, Span{all.Last, all.Last})
	}
	return out
}

// Counts says how full a pool is.
type Counts struct {
	// Total is what the pool has without what it excludes.
	Total int64
	// Held is how many addresses have a holder.
	Held int64
	// Free is how many could be granted now.
	Free int64
}

// String is for messages: "253 of 253 addresses held".
func (c Counts) String() string {
	s := fmt.Sprintf("%d of %d addresses held", c.Held, c.Total)
	if blocked := c.Total - c.Held; c.Free == 0 && blocked > 0 {
		s += fmt.Sprintf(", the other %d reserved", blocked)
	}
	return s
}

// book is a pool with its holders.
type book struct {
	Pool
	free  *freeSet
	held  map[netip.Addr]types.NamespacedName
	total int64
	// cursor is where the search for a free address begins.
	cursor netip.Addr
	// edition counts changes of held and total.
	edition uint64
}

// refill computes what is free from scratch. taken says which addresses have
// a holder in any pool.
func (b *book) refill(reserved []Span, taken map[netip.Addr]types.NamespacedName) {
	minus := append(b.never(), reserved...)
	for a := range taken {
		if b.Subnet.Contains(a) {
			minus = append(minus, Span{a, a})
		}
	}
	b.free = newFreeSet(Subtract(b.Spans, minus))
	b.total = Count(Subtract(b.Spans, b.Excluded))
	b.edition++
}

// grantable reports whether the pool has a and may give it away.
func (b *book) grantable(a netip.Addr) bool {
	in := func(s Span) bool { return s.Contains(a) }
	return slices.ContainsFunc(b.Spans, in) && !slices.ContainsFunc(b.never(), in)
}

// pick is the next free address after the last grant that is not taken
// otherwise; behind the last address the search goes on at the first.
func (b *book) pick(taken func(netip.Addr) bool) (netip.Addr, bool) {
	if b.Closed {
		return netip.Addr{}, false
	}
	for a, ok := b.free.next(b.cursor); ok; a, ok = b.free.next(a.Next()) {
		if !taken(a) {
			return a, true
		}
		if !a.Next().IsValid() {
			break
		}
	}
	for a, ok := b.free.next(netip.Addr{}); ok && a.Less(b.cursor); a, ok = b.free.next(a.Next()) {
		if !taken(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}
