package address

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Allocation is one held address of a pool.
type Allocation struct {
	Addr netip.Addr
	Pod  types.NamespacedName
	UID  types.UID
}

// Allocations lists the held addresses of a pool in order.
func (l *Ledger) Allocations(pool string) []Allocation {
	b, ok := l.books[pool]
	if !ok {
		return nil
	}
	out := make([]Allocation, 0, len(b.held))
	for a, pod := range b.held {
		out = append(out, Allocation{Addr: a, Pod: pod, UID: l.records[pod].UID})
	}
	slices.SortFunc(out, func(x, y Allocation) int { return x.Addr.Compare(y.Addr) })
	return out
}

// Counts says how full a pool is.
func (l *Ledger) Counts(pool string) Counts {
	b, ok := l.books[pool]
	if !ok {
		return Counts{}
	}
	return b.counts()
}

// Edition changes whenever Allocations or Counts of a pool may have changed.
func (l *Ledger) Edition(pool string) uint64 {
	b, ok := l.books[pool]
	if !ok {
		return 0
	}
	return b.edition
}

// Pods lists the pods that have a record, in no order.
func (l *Ledger) Pods() []types.NamespacedName {
	out := make([]types.NamespacedName, 0, len(l.records))
	for pod := range l.records {
		out = append(out, pod)
	}
	return out
}

func (b *book) counts() Counts {
	return Counts{Total: b.total, Held: int64(len(b.held)), Free: Count(b.free.spans())}
}
