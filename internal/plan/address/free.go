package address

import (
	"net/netip"
	"slices"
	"sort"
)

// chunkSize is how many spans one chunk of a freeSet holds at most.
const chunkSize = 256

// freeSet is a set of addresses kept as sorted disjoint spans that do not
// touch. The spans lie in chunks, so that a change moves a few kilobytes
// however fragmented the set is.
type freeSet struct {
	chunks [][]Span
}

// newFreeSet takes merged spans.
func newFreeSet(spans []Span) *freeSet {
	s := &freeSet{}
	for part := range slices.Chunk(spans, chunkSize/2) {
		s.chunks = append(s.chunks, slices.Clone(part))
	}
	return s
}

// find is the position of the last span that begins at or before a. When
// there is none, i is -1 and c is 0.
func (s *freeSet) find(a netip.Addr) (c, i int) {
	c = sort.Search(len(s.chunks), func(k int) bool { return a.Less(s.chunks[k][0].First) }) - 1
	if c < 0 {
		return 0, -1
	}
	spans := s.chunks[c]
	i = sort.Search(len(spans), func(k int) bool { return a.Less(spans[k].First) }) - 1
	return c, i
}

// after is the position behind (c, i).
func (s *freeSet) after(c, i int) (int, int, bool) {
	if c < len(s.chunks) && i+1 < len(s.chunks[c]) {
		return c, i + 1, true
	}
	return c + 1, 0, c+1 < len(s.chunks)
}

func (s *freeSet) has(a netip.Addr) bool {
	c, i := s.find(a)
	return i >= 0 && !s.chunks[c][i].Last.Less(a)
}

// next is the first address of the set at or after a; the zero address comes
// before all others.
func (s *freeSet) next(a netip.Addr) (netip.Addr, bool) {
	c, i := s.find(a)
	if i >= 0 && !s.chunks[c][i].Last.Less(a) {
		return a, true
	}
	if c, i, ok := s.after(c, i); ok {
		return s.chunks[c][i].First, true
	}
	return netip.Addr{}, false
}

// remove takes a out of the set and reports whether it was in it.
func (s *freeSet) remove(a netip.Addr) bool {
	c, i := s.find(a)
	if i < 0 {
		return false
	}
	span := s.chunks[c][i]
	switch {
	case span.Last.Less(a):
		return false
	case span.First == a && span.Last == a:
		s.drop(c, i)
	case span.First == a:
		s.chunks[c][i].First = a.Next()
	case span.Last == a:
		s.chunks[c][i].Last = a.Prev()
	default:
		s.chunks[c][i].Last = a.Prev()
		s.insert(c, i+1, Span{a.Next(), span.Last})
	}
	return true
}

// add puts a into the set and reports whether it was missing.
func (s *freeSet) add(a netip.Addr) bool {
	c, i := s.find(a)
	if i >= 0 && !s.chunks[c][i].Last.Less(a) {
		return false
	}
	joinsLeft := i >= 0 && s.chunks[c][i].Last.Next() == a
	nc, ni, hasNext := s.after(c, i)
	joinsRight := hasNext && a.Next() == s.chunks[nc][ni].First
	switch {
	case joinsLeft && joinsRight:
		s.chunks[c][i].Last = s.chunks[nc][ni].Last
		s.drop(nc, ni)
	case joinsLeft:
		s.chunks[c][i].Last = a
	case joinsRight:
		s.chunks[nc][ni].First = a
	default:
		s.insert(c, i+1, Span{a, a})
	}
	return true
}

func (s *freeSet) insert(c, i int, span Span) {
	if len(s.chunks) == 0 {
		s.chunks = [][]Span{{span}}
		return
	}
	s.chunks[c] = slices.Insert(s.chunks[c], i, span)
	if n := len(s.chunks[c]); n > chunkSize {
		tail := slices.Clone(s.chunks[c][n/2:])
		s.chunks[c] = s.chunks[c][:n/2]
		s.chunks = slices.Insert(s.chunks, c+1, tail)
	}
}

func (s *freeSet) drop(c, i int) {
	s.chunks[c] = slices.Delete(s.chunks[c], i, i+1)
	if len(s.chunks[c]) == 0 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
}

// spans is the set as one list.
func (s *freeSet) spans() []Span {
	return slices.Concat(s.chunks...)
}
