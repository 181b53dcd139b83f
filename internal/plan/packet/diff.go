package packet

import "net/netip"

// Entry is one endpoint under its number: the element of the endpoint map.
type Entry struct {
	Front
	Number uint32
}

// Elements is a table as map elements.
type Elements struct {
	Counts  map[Front]int      // fronts with endpoints: how many
	Entries map[Entry]Back     // front and number to endpoint
	Refused map[Front]struct{} // fronts without endpoints
	Hairpin map[netip.Addr]int // endpoints that may reach themselves through a Service; how many entries name them
}

// NewElements is an empty set of elements.
func NewElements() Elements {
	return Elements{Counts: map[Front]int{}, Entries: map[Entry]Back{}, Refused: map[Front]struct{}{}, Hairpin: map[netip.Addr]int{}}
}

// Change is what to remove from and to add to the maps, in that order: an
// element whose value changed is in both. Counts of a front are added only after
// its entries.
type Change struct {
	DelCounts  []Front
	DelEntries []Entry
	DelRefused []Front
	DelHairpin []netip.Addr
	AddEntries map[Entry]Back
	AddCounts  map[Front]int
	AddRefused []Front
	AddHairpin []netip.Addr
}

// Empty tells that nothing changes.
func (c Change) Empty() bool {
	return len(c.DelCounts)+len(c.DelEntries)+len(c.DelRefused)+len(c.DelHairpin)+
		len(c.AddEntries)+len(c.AddCounts)+len(c.AddRefused)+len(c.AddHairpin) == 0
}

// Replace changes the elements of one Service from old to next, in place, and
// returns the change. Work is proportional to that Service, not to the whole.
func (e Elements) Replace(old, next Table) Change {
	c := Change{AddEntries: map[Entry]Back{}, AddCounts: map[Front]int{}}
	touched := map[netip.Addr]bool{} // address to "was there before"
	touch := func(a netip.Addr, by int) {
		if _, seen := touched[a]; !seen {
			touched[a] = e.Hairpin[a] > 0
		}
		e.Hairpin[a] += by
	}
	for front, was := range old {
		now, kept := next[front]
		if len(was) > 0 && (!kept || len(now) != len(was)) {
			c.DelCounts = append(c.DelCounts, front)
			delete(e.Counts, front)
		}
		if len(was) == 0 && (!kept || len(now) > 0) {
			c.DelRefused = append(c.DelRefused, front)
			delete(e.Refused, front)
		}
		for i, back := range was {
			if kept && i < len(now) && now[i] == back {
				continue
			}
			entry := Entry{front, uint32(i)}
			c.DelEntries = append(c.DelEntries, entry)
			delete(e.Entries, entry)
			touch(back.Addr, -1)
		}
	}
	for front, now := range next {
		was, kept := old[front]
		for i, back := range now {
			if kept && i < len(was) && was[i] == back {
				continue
			}
			entry := Entry{front, uint32(i)}
			c.AddEntries[entry], e.Entries[entry] = back, back
			touch(back.Addr, 1)
		}
		switch {
		case len(now) == 0 && (!kept || len(was) > 0):
			c.AddRefused = append(c.AddRefused, front)
			e.Refused[front] = struct{}{}
		case len(now) > 0 && (!kept || len(now) != len(was)):
			c.AddCounts[front], e.Counts[front] = len(now), len(now)
		}
	}
	for addr, before := range touched {
		switch after := e.Hairpin[addr] > 0; {
		case !before && after:
			c.AddHairpin = append(c.AddHairpin, addr)
		case before && !after:
			c.DelHairpin = append(c.DelHairpin, addr)
		}
		if e.Hairpin[addr] == 0 {
			delete(e.Hairpin, addr)
		}
	}
	return c
}

// Follow says where a packet goes: to an endpoint, refused, or (neither) on its
// way unchanged. draw picks a number below n.
func (e Elements) Follow(to Front, draw func(n int) int) (at Back, sent, refused bool) {
	if n, ok := e.Counts[to]; ok {
		back, ok := e.Entries[Entry{to, uint32(draw(n))}]
		return back, ok, false
	}
	_, refused = e.Refused[to]
	return Back{}, false, refused
}
