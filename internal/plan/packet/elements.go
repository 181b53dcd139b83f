package packet

import (
	"maps"
	"net/netip"
)

// Entry is one endpoint under its number: the element of the endpoint map.
type Entry struct {
	Front
	Number uint32
}

// FarNumbers is the first number of the endpoints for packets from outside.
const FarNumbers = 1 << 24

// Draw says how one of a front's endpoints is chosen.
type Draw struct {
	Endpoints  int // 0, from outside only: left alone
	Far        bool
	NodePort   bool
	Masquerade bool
	Sticky     uint32
}

// Member says that an endpoint is one of a front's: what a client that sticks
// to one has to have checked.
type Member struct {
	Front
	Back
}

// Admission is a range of clients that may use a front.
type Admission struct {
	Front
	From netip.Prefix
}

// Elements is a table as map elements.
type Elements struct {
	Fronts   map[Front]Draw
	Outside  map[Front]Draw // before Fronts, for packets from outside
	Entries  map[Entry]Back
	Unserved map[Front]Verdict // packets still to this front have no endpoint
	Members  map[Member]struct{}
	Guarded  map[Front]struct{} // fronts with Admitted clients only
	Admitted map[Admission]struct{}
	// Hairpin are endpoints that may reach themselves through a Service; how
	// many entries name them.
	Hairpin map[netip.Addr]int
}

// NewElements is an empty set of elements.
func NewElements() Elements {
	return Elements{
		Fronts: map[Front]Draw{}, Outside: map[Front]Draw{}, Entries: map[Entry]Back{}, Unserved: map[Front]Verdict{},
		Members: map[Member]struct{}{}, Guarded: map[Front]struct{}{}, Admitted: map[Admission]struct{}{}, Hairpin: map[netip.Addr]int{},
	}
}

// elements are those of a table.
func (t Table) elements() Elements {
	e := NewElements()
	for front, target := range t {
		draw := Draw{NodePort: front.NodePort(), Masquerade: target.Masquerade, Sticky: target.Sticky}
		if near := draw; len(target.Near) > 0 {
			near.Endpoints = len(target.Near)
			e.Fronts[front] = near
		} else {
			e.Unserved[front] = target.None
		}
		e.enter(front, 0, target.Near, target.Sticky)
		if target.Split && len(target.Near) > 0 {
			far := draw
			far.Far, far.Endpoints = true, len(target.Far)
			if len(target.Far) == 0 {
				far = Draw{Far: true}
				e.Unserved[front] = Drop // for those from outside; all others have gone their way
			}
			e.Outside[front] = far
			e.enter(front, FarNumbers, target.Far, target.Sticky)
		}
		for _, from := range target.Sources {
			e.Guarded[front] = struct{}{}
			e.Admitted[Admission{front, from}] = struct{}{}
		}
	}
	return e
}

func (e Elements) enter(front Front, first uint32, list []Back, sticky uint32) {
	for i, back := range list {
		e.Entries[Entry{front, first + uint32(i)}] = back
		e.Hairpin[back.Addr]++
		if sticky > 0 {
			e.Members[Member{front, back}] = struct{}{}
		}
	}
}

// Change is what to remove and what to add, in that order: an element whose
// value changed is in both.
type Change struct {
	Del, Add Elements
	// Stale are connections that still lead where they no longer should.
	Stale []Flow
}

// Empty tells that nothing changes.
func (c Change) Empty() bool { return c.Del.size()+c.Add.size() == 0 }

func (e Elements) size() int {
	return len(e.Fronts) + len(e.Outside) + len(e.Entries) + len(e.Unserved) + len(e.Members) + len(e.Guarded) + len(e.Admitted) + len(e.Hairpin)
}

// Replace changes the elements of one Service from old to next, in place, and
// returns the change. Work is proportional to that Service, not to the whole.
func (e Elements) Replace(old, next Table) Change {
	was, now := old.elements(), next.elements()
	c := Change{Del: NewElements(), Add: NewElements()}
	diff(e.Fronts, was.Fronts, now.Fronts, c.Del.Fronts, c.Add.Fronts)
	diff(e.Outside, was.Outside, now.Outside, c.Del.Outside, c.Add.Outside)
	diff(e.Entries, was.Entries, now.Entries, c.Del.Entries, c.Add.Entries)
	diff(e.Unserved, was.Unserved, now.Unserved, c.Del.Unserved, c.Add.Unserved)
	diff(e.Members, was.Members, now.Members, c.Del.Members, c.Add.Members)
	diff(e.Guarded, was.Guarded, now.Guarded, c.Del.Guarded, c.Add.Guarded)
	diff(e.Admitted, was.Admitted, now.Admitted, c.Del.Admitted, c.Add.Admitted)
	for addr := range was.Hairpin {
		if _, stays := now.Hairpin[addr]; !stays {
			now.Hairpin[addr] = 0
		}
	}
	for addr, n := range now.Hairpin {
		before := e.Hairpin[addr]
		after := before + n - was.Hairpin[addr]
		if e.Hairpin[addr] = after; after == 0 {
			delete(e.Hairpin, addr)
		}
		switch {
		case before == 0 && after > 0:
			c.Add.Hairpin[addr] = after
		case before > 0 && after == 0:
			c.Del.Hairpin[addr] = before
		}
	}
	c.Stale = stale(old, next)
	return c
}

// diff takes all from was to now and notes what went and what came.
func diff[K, V comparable](all, was, now, del, add map[K]V) {
	for k, v := range was {
		if w, stays := now[k]; !stays || w != v {
			del[k] = v
			delete(all, k)
		}
	}
	for k, v := range now {
		if w, there := was[k]; !there || w != v {
			add[k], all[k] = v, v
		}
	}
}

// All is the change that makes these elements of nothing.
func (e Elements) All() Change {
	return Change{Del: NewElements(), Add: Elements{
		maps.Clone(e.Fronts), maps.Clone(e.Outside), maps.Clone(e.Entries), maps.Clone(e.Unserved),
		maps.Clone(e.Members), maps.Clone(e.Guarded), maps.Clone(e.Admitted), maps.Clone(e.Hairpin),
	}}
}
