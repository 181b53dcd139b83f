package address

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Exhausted says that no pool had an address left.
type Exhausted struct {
	Pod    types.NamespacedName
	Family Family
	Pools  []PoolCounts
	// Refused says why further pools may not be used.
	Refused []string
}

// PoolCounts is how full one pool is.
type PoolCounts struct {
	Name   string
	Closed bool
	Counts
}

func (l *Ledger) exhausted(ask Ask, want Want) *Exhausted {
	e := &Exhausted{Pod: ask.Pod, Family: want.Family, Refused: want.Refused}
	for _, name := range want.Pools {
		if b, ok := l.books[name]; ok && b.Family == want.Family {
			e.Pools = append(e.Pools, PoolCounts{Name: name, Closed: b.Closed, Counts: b.counts()})
		}
	}
	return e
}

// Error names every pool that was tried and its counts.
func (e *Exhausted) Error() string {
	if len(e.Pools) == 0 {
		return fmt.Sprintf("no IPPool available for IPv%d", e.Family) + because(e.Refused)
	}
	tried := make([]string, 0, len(e.Pools))
	for _, p := range e.Pools {
		s := fmt.Sprintf("%s has %s", p.Name, p.Counts)
		if p.Closed {
			s = p.Name + " is disabled or being deleted"
		}
		tried = append(tried, s)
	}
	return fmt.Sprintf("no IPv%d address is free: IPPool %s", e.Family, strings.Join(tried, "; IPPool ")) + because(e.Refused)
}

// because lists the pools that may not be used.
func because(refused []string) string {
	if len(refused) == 0 {
		return ""
	}
	return "; not to be used: IPPool " + strings.Join(refused, "; IPPool ")
}

// Unavailable says that the one address that a pod is given cannot be granted.
type Unavailable struct {
	Pod     types.NamespacedName
	Addr    netip.Addr
	Pools   []string
	Refused []string
	// Pool has the address; empty if none has.
	Pool             string
	Closed, Reserved bool
	// Holder has the address now.
	Holder types.NamespacedName
}

// Error says which address, and why not.
func (u *Unavailable) Error() string {
	switch {
	case u.Pool == "":
		return fmt.Sprintf("address %s lies in none of the pools that the pod may use (%s)", u.Addr, strings.Join(u.Pools, ", ")) + because(u.Refused)
	case u.Closed:
		return fmt.Sprintf("address %s: IPPool %s is disabled or being deleted", u.Addr, u.Pool)
	case u.Reserved:
		return fmt.Sprintf("address %s of IPPool %s is reserved", u.Addr, u.Pool)
	}
	return fmt.Sprintf("address %s of IPPool %s is held by pod %s", u.Addr, u.Pool, u.Holder)
}
