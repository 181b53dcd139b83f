package service

import (
	"errors"
	"math/rand/v2"
)

var errFull = errors.New("range is full")

// numbers hands out the numbers 0 to size-1. The first static ones are given
// out unasked only when all others are taken, so that they stay free for users
// who choose for themselves.
type numbers struct {
	size, static uint64
	taken        map[uint64]struct{}
}

func newNumbers(size, static uint64) *numbers {
	return &numbers{size: size, static: min(static, size), taken: map[uint64]struct{}{}}
}

// take marks n and says whether it was free.
func (s *numbers) take(n uint64) bool {
	if _, used := s.taken[n]; used {
		return false
	}
	s.taken[n] = struct{}{}
	return true
}

func (s *numbers) free(n uint64) { delete(s.taken, n) }

// next takes a free number.
func (s *numbers) next() (uint64, error) {
	if n, ok := s.scan(s.static, s.size); ok {
		return n, nil
	}
	if n, ok := s.scan(0, s.static); ok {
		return n, nil
	}
	return 0, errFull
}

// scan starts anywhere in [from, to), so that an address just freed is
// unlikely to be the next one given out.
func (s *numbers) scan(from, to uint64) (uint64, bool) {
	if to <= from {
		return 0, false
	}
	count := to - from
	start := rand.Uint64N(count)
	// Among more numbers than are taken, one is free.
	tries := min(count, uint64(len(s.taken))+1)
	for i := range tries {
		if n := from + (start+i)%count; s.take(n) {
			return n, true
		}
	}
	return 0, false
}
