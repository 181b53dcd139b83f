package schedule

import "slices"

// pairSum is how many pods of a class there are by the values of a topology.
type pairSum struct {
	by      *topology
	sums    []int64
	scopes  []term    // whom they count: pods that all of these are about …
	holders []*holder // … or pods that hold one of these
}

// pairs are the sums that the filter between pods looks at.
type pairs struct {
	existing []*pairSum // placed pods that want no such pod near
	anti     []*pairSum // placed pods that this pod wants not near
	affinity []*pairSum // placed pods that this pod wants near, by term
	near     int64      // how many of those have a place in each topology at all
	itself   bool       // the pod is one of those that it wants near
}

func (r *request) pairSums() pairs {
	var out pairs
	for _, h := range r.c.holders.about(r.c, r.Pod) {
		if h.kind != requiredAnti {
			continue
		}
		by := r.c.topology(h.term.topology)
		h.addTo(out.expect(by, h).sums, by, 1)
	}
	for _, p := range r.c.nominated { // their terms may be of classes that no placed pod has
		for _, h := range p.holds {
			if h.kind == requiredAnti && h.term.covers(r.c, r.Pod) {
				out.expect(r.c.topology(h.term.topology), h)
			}
		}
	}
	for i := range r.terms.anti {
		t := &r.terms.anti[i]
		out.anti = append(out.anti, r.sumOf(t.topology, r.terms.anti[i:i+1]))
	}
	for i := range r.terms.affinity {
		s := r.sumOf(r.terms.affinity[i].topology, r.terms.affinity)
		out.affinity = append(out.affinity, s)
		for _, n := range s.sums {
			out.near += n
		}
	}
	out.itself = coversAll(r.c, r.terms.affinity, r.Pod)
	return out
}

// expect is the sum that a class of terms is counted in.
func (p *pairs) expect(by *topology, h *holder) *pairSum {
	s := find(p.existing, by)
	if s == nil {
		s = &pairSum{by: by, sums: make([]int64, len(by.ids))}
		p.existing = append(p.existing, s)
	}
	if !slices.ContainsFunc(s.holders, func(other *holder) bool { return other.key == h.key }) {
		s.holders = append(s.holders, h)
	}
	return s
}

// sumOf counts the placed pods that all terms are about, by a topology.
func (r *request) sumOf(key string, all []term) *pairSum {
	scopes := make([]scope, 0, len(all))
	for i := range all {
		scopes = append(scopes, all[i].scope)
	}
	by := r.c.topology(key)
	s := &pairSum{by: by, sums: make([]int64, len(by.ids)), scopes: all}
	r.c.matchers.of(r.c, false, scopes...).addTo(s.sums, by, 1)
	return s
}

func find(all []*pairSum, by *topology) *pairSum {
	for _, s := range all {
		if s.by == by {
			return s
		}
	}
	return nil
}

// pairDeltas are what a trial changes of the sums at its node's own values.
type pairDeltas struct {
	existing, anti, affinity []int64
	near                     int64
}

func newPairDeltas(p *pairs) pairDeltas {
	return pairDeltas{
		existing: make([]int64, len(p.existing)), anti: make([]int64, len(p.anti)), affinity: make([]int64, len(p.affinity)),
	}
}

func (r *request) changePairs(t *trial, p *placed, sign int64) {
	for i, s := range r.pairs.existing {
		for _, held := range p.holds {
			for _, h := range s.holders {
				if h.key == held.key {
					t.pairs.existing[i] += sign
				}
			}
		}
	}
	for i, s := range r.pairs.anti {
		if coversAll(r.c, s.scopes, p.pod) {
			t.pairs.anti[i] += sign
		}
	}
	if len(r.pairs.affinity) > 0 && coversAll(r.c, r.terms.affinity, p.pod) {
		for i, s := range r.pairs.affinity {
			if s.by.of(&t.room) != noValue {
				t.pairs.affinity[i] += sign
				t.pairs.near += sign
			}
		}
	}
}

// between is the filter between pods; "" when the node passes.
func (r *request) between(n *room, t *trial) (reason string, final bool) {
	p := &r.pairs
	near := true
	for i, s := range p.affinity {
		value := s.by.of(n)
		if value == noValue {
			return reasonPodAffinity, true
		}
		count := s.sums[value]
		if t != nil {
			count += t.pairs.affinity[i]
		}
		near = near && count > 0
	}
	if !near {
		all := p.near
		if t != nil {
			all += t.pairs.near
		}
		if all > 0 || !p.itself {
			return reasonPodAffinity, true
		}
	}
	for i, s := range p.anti {
		if value := s.by.of(n); value != noValue {
			count := s.sums[value]
			if t != nil {
				count += t.pairs.anti[i]
			}
			if count > 0 {
				return reasonAntiAffinity, false
			}
		}
	}
	for i, s := range p.existing {
		if value := s.by.of(n); value != noValue {
			count := s.sums[value]
			if t != nil {
				count += t.pairs.existing[i]
			}
			if count > 0 {
				return reasonExistingAnti, false
			}
		}
	}
	return "", false
}

// betweenScores add up preferences, its own and those of placed pods, by topology.
func (r *request) betweenScores() []*pairSum {
	var out []*pairSum
	at := func(key string) (*pairSum, *topology) {
		by := r.c.topology(key)
		s := find(out, by)
		if s == nil {
			s = &pairSum{by: by, sums: make([]int64, len(by.ids))}
			out = append(out, s)
		}
		return s, by
	}
	for sign, list := range map[int64][]term{1: r.terms.preferredAffinity, -1: r.terms.preferredAnti} {
		for i := range list {
			s, by := at(list[i].topology)
			r.c.matchers.of(r.c, false, list[i].scope).addTo(s.sums, by, sign*list[i].weight)
		}
	}
	for _, h := range r.c.holders.about(r.c, r.Pod) {
		if h.kind == preference {
			s, by := at(h.term.topology)
			h.addTo(s.sums, by, h.term.weight)
		}
	}
	return out
}
