package oracle

import (
	"math/rand/v2"
	"slices"
)

// dice are the only source of chance: the same seed and number give the same state.
type dice struct{ *rand.Rand }

func newDice(seed, n uint64) dice { return dice{rand.New(rand.NewPCG(seed, n))} }

// chance is true so often.
func (d dice) chance(p float64) bool { return d.Float64() < p }

// pick takes one; what shall come more often is named more often.
func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// some takes n of them in their order.
func some[T any](d dice, n int, of ...T) []T {
	chosen := d.Perm(len(of))[:min(n, len(of))]
	slices.Sort(chosen)
	out := make([]T, 0, n)
	for _, i := range chosen {
		out = append(out, of[i])
	}
	return out
}
