package address

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Ledger is the book of who holds what.
type Ledger struct {
	books    map[string]*book
	records  map[types.NamespacedName]Record
	holders  map[netip.Addr]types.NamespacedName
	reserved []Span
}

// NewLedger returns an empty book.
func NewLedger() *Ledger {
	return &Ledger{
		books:   map[string]*book{},
		records: map[types.NamespacedName]Record{},
		holders: map[netip.Addr]types.NamespacedName{},
	}
}

// SetPool adds a pool or changes it, and reports whether that made a
// difference. What is held stays held, also outside the new spans.
func (l *Ledger) SetPool(p Pool) bool {
	b, known := l.books[p.Name]
	if !known {
		b = &book{held: map[netip.Addr]types.NamespacedName{}}
		for key, rec := range l.records {
			for _, h := range rec.Held {
				if h.Pool == p.Name {
					b.held[h.Addr] = key
				}
			}
		}
		b.cursor = newest(b.held)
		l.books[p.Name] = b
	}
	same := known && b.equal(&p)
	reopened := b.Closed != p.Closed
	b.Pool = p
	if !same {
		b.refill(l.reserved, l.holders)
	}
	return !same || reopened
}

// newest guesses where the last grant was: the book does not survive a
// restart, but grants go upward.
func newest(held map[netip.Addr]types.NamespacedName) netip.Addr {
	var last netip.Addr
	for a := range held {
		if !last.IsValid() || last.Less(a) {
			last = a
		}
	}
	return last
}

// RemovePool forgets a pool. What was granted out of it stays held.
func (l *Ledger) RemovePool(name string) { delete(l.books, name) }

// Pool returns a pool as it was set.
func (l *Ledger) Pool(name string) (Pool, bool) {
	b, ok := l.books[name]
	if !ok {
		return Pool{}, false
	}
	return b.Pool, true
}

// SetReserved says which addresses are not to be granted from any pool.
func (l *Ledger) SetReserved(spans []Span) {
	merged := Merge(spans)
	if slices.Equal(merged, l.reserved) {
		return
	}
	l.reserved = merged
	for _, b := range l.books {
		b.refill(l.reserved, l.holders)
	}
}

// Record returns the record of a pod.
func (l *Ledger) Record(pod types.NamespacedName) (Record, bool) {
	rec, ok := l.records[pod]
	return rec, ok
}

// Len is the number of records.
func (l *Ledger) Len() int { return len(l.records) }

// Adopt enters a record that exists elsewhere, replacing what the ledger knew
// about that pod. An address that another pod holds stays with that pod and
// is left out.
func (l *Ledger) Adopt(rec Record) []Conflict {
	var conflicts []Conflict
	var held []Held
	for _, h := range rec.Held {
		if other, taken := l.holders[h.Addr]; taken && other != rec.Pod {
			conflicts = append(conflicts, Conflict{Addr: h.Addr, Pod: rec.Pod, Holder: other})
			continue
		}
		held = append(held, h)
	}
	rec.Held = held
	l.put(rec)
	return conflicts
}

// Grant gives a pod the addresses that it asks for, all or none of them, and
// reports whether its record changed. What the name held before is kept where
// it still fits. A pod that has its grant keeps it as it is. The error is an
// *Exhausted or an *Unavailable.
func (l *Ledger) Grant(ask Ask) (rec Record, changed bool, err error) {
	old := l.records[ask.Pod]
	sameUID := old.UID == ask.UID && len(old.Held) > 0
	next := Record{Pod: ask.Pod, UID: ask.UID, Node: ask.Node, Set: ask.Set, Retention: ask.Retention}
	if sameUID {
		next.Held = old.Held
	} else if next.Held, err = l.choose(ask, &old); err != nil {
		return old, false, err
	}
	if old.equal(&next) {
		return old, false, nil
	}
	for _, h := range next.Held {
		if b, ok := l.books[h.Pool]; ok && !slices.Contains(old.Held, h) {
			b.cursor = h.Addr.Next()
		}
	}
	l.put(next)
	return next, true, nil
}

// choose finds the addresses of a grant without taking them.
func (l *Ledger) choose(ask Ask, old *Record) ([]Held, error) {
	held := make([]Held, 0, len(ask.Wants))
	for _, want := range ask.Wants {
		if h, ok := old.held(want.NIC, want.Family); ok && l.fits(h, want) {
			held = append(held, h)
			continue
		}
		if want.Addr.IsValid() {
			h, err := l.take(ask, want)
			if err != nil {
				return nil, err
			}
			held = append(held, h)
			continue
		}
		h, ok := l.pick(want, held)
		if !ok {
			return nil, l.exhausted(ask, want)
		}
		held = append(held, h)
	}
	return held, nil
}

// fits reports whether a held address answers a want.
func (l *Ledger) fits(h Held, want Want) bool {
	b, ok := l.books[h.Pool]
	if !ok || !slices.Contains(want.Pools, h.Pool) || !b.grantable(h.Addr) {
		return false
	}
	if want.Addr.IsValid() {
		return h.Addr == want.Addr
	}
	return !contains(want.Avoid, h.Addr)
}

// take finds the one address that a want is for.
func (l *Ledger) take(ask Ask, want Want) (Held, error) {
	u := &Unavailable{Pod: ask.Pod, Addr: want.Addr, Pools: want.Pools, Refused: want.Refused}
	for _, name := range want.Pools {
		b, ok := l.books[name]
		if !ok || b.Family != want.Family || !b.grantable(want.Addr) {
			continue
		}
		u.Pool, u.Closed, u.Reserved = name, b.Closed, l.isReserved(want.Addr)
		if holder, taken := l.holders[want.Addr]; taken && holder != ask.Pod {
			u.Holder = holder
		}
		if !u.Closed && !u.Reserved && u.Holder.Name == "" {
			return Held{NIC: want.NIC, Addr: want.Addr, Pool: name}, nil
		}
		break
	}
	return Held{}, u
}

// pick finds a free address that is not among those chosen already.
func (l *Ledger) pick(want Want, chosen []Held) (Held, bool) {
	for _, name := range want.Pools {
		b, ok := l.books[name]
		if !ok || b.Family != want.Family {
			continue
		}
		a, ok := b.pick(func(a netip.Addr) bool {
			return contains(want.Avoid, a) || slices.ContainsFunc(chosen, func(h Held) bool { return h.Addr == a })
		})
		if ok {
			return Held{NIC: want.NIC, Addr: a, Pool: name}, true
		}
	}
	return Held{}, false
}

// Release forgets a pod; its addresses are free again.
func (l *Ledger) Release(pod types.NamespacedName) (Record, bool) {
	rec, ok := l.records[pod]
	if ok {
		l.drop(rec)
		delete(l.records, pod)
	}
	return rec, ok
}

// put replaces the record of a pod.
func (l *Ledger) put(rec Record) {
	if old, ok := l.records[rec.Pod]; ok {
		l.drop(old)
	}
	l.records[rec.Pod] = rec
	for _, h := range rec.Held {
		l.holders[h.Addr] = rec.Pod
		for _, b := range l.books {
			if b.Subnet.Contains(h.Addr) {
				b.free.remove(h.Addr)
			}
		}
		if b, ok := l.books[h.Pool]; ok {
			b.held[h.Addr] = rec.Pod
			b.edition++
		}
	}
}

// drop makes the addresses of a record free.
func (l *Ledger) drop(rec Record) {
	for _, h := range rec.Held {
		delete(l.holders, h.Addr)
		for _, b := range l.books {
			if b.grantable(h.Addr) && !l.isReserved(h.Addr) {
				b.free.add(h.Addr)
			}
		}
		if b, ok := l.books[h.Pool]; ok {
			delete(b.held, h.Addr)
			b.edition++
		}
	}
}

func (l *Ledger) isReserved(a netip.Addr) bool {
	return contains(l.reserved, a)
}

func contains(spans []Span, a netip.Addr) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return s.Contains(a) })
}
