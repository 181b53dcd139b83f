package packet

import (
	"cmp"
	"net/netip"
	"slices"
)

// Flow is a connection that the kernel remembers: to a front, answered by an
// endpoint. Without an endpoint the front itself was to answer, because it had
// no endpoint then.
type Flow struct {
	Front
	Back
}

// Matches says whether a remembered connection is the flow: to is where the
// client sent its packets, from is who answers.
func (f Flow) Matches(proto Protocol, to, from netip.AddrPort) bool {
	if proto != f.Protocol || to.Port() != f.Front.Port || !f.NodePort() && to.Addr() != f.Front.Addr {
		return false
	}
	if f.Back == (Back{}) {
		return from == to
	}
	return from == netip.AddrPortFrom(f.Back.Addr, f.Back.Port)
}

// stale are the flows that a change leaves behind. Only UDP: its clients go on
// sending from one port and would never notice, while a TCP connection ends by
// itself.
func stale(old, next Table) []Flow {
	var out []Flow
	for front, was := range old {
		if front.Protocol != UDP {
			continue
		}
		now := next[front]
		for _, back := range both(was) {
			if !slices.Contains(now.Near, back) && !slices.Contains(now.Far, back) {
				out = append(out, Flow{front, back})
			}
		}
	}
	for front, now := range next {
		was := old[front]
		if front.Protocol == UDP && (len(was.Near) == 0 && len(now.Near) > 0 || len(was.Far) == 0 && len(now.Far) > 0) {
			out = append(out, Flow{Front: front})
		}
	}
	slices.SortFunc(out, func(a, b Flow) int {
		return cmp.Or(a.Front.Addr.Compare(b.Front.Addr), cmp.Compare(a.Front.Port, b.Front.Port), a.Back.Addr.Compare(b.Back.Addr), cmp.Compare(a.Back.Port, b.Back.Port))
	})
	return out
}

// both are a target's backs, each once.
func both(t Target) []Back {
	out := slices.Clone(t.Near)
	for _, back := range t.Far {
		if !slices.Contains(t.Near, back) {
			out = append(out, back)
		}
	}
	return out
}
