package job

import (
	"slices"
	"strconv"
	"strings"
)

// Indexes are a set of completion indexes as runs in order, apart by at least one.
type Indexes []run

// run is from first to last, both included.
type run struct{ first, last int }

// ParseIndexes reads "1,3-5", leaving out what is not below completions and
// what cannot be read.
func ParseIndexes(text string, completions int) Indexes {
	var all Indexes
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		last := first
		if ranged {
			if last, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		if first >= completions {
			break
		}
		all = all.and(Indexes{{first, min(last, completions-1)}})
	}
	return all
}

// With is the set with more indexes in it.
func (x Indexes) With(more ...int) Indexes {
	runs := make(Indexes, len(more))
	for i, n := range slices.Sorted(slices.Values(more)) {
		runs[i] = run{n, n}
	}
	return x.and(runs)
}

// and is the union of two sets; the runs of either may touch or overlap.
func (x Indexes) and(y Indexes) Indexes {
	var all Indexes
	for _, r := range slices.SortedStableFunc(slices.Values(slices.Concat(x, y)), func(a, b run) int { return a.first - b.first }) {
		if n := len(all); n > 0 && r.first <= all[n-1].last+1 {
			all[n-1].last = max(all[n-1].last, r.last)
		} else {
			all = append(all, r)
		}
	}
	return all
}

// Total is how many indexes there are.
func (x Indexes) Total() int {
	n := 0
	for _, r := range x {
		n += r.last - r.first + 1
	}
	return n
}

// Has reports whether the index is one of the set.
func (x Indexes) Has(index int) bool {
	i, _ := slices.BinarySearchFunc(x, index, func(r run, n int) int { return r.last - n })
	return i < len(x) && x[i].first <= index
}

// String writes the set as ParseIndexes reads it; two in a row are no range.
func (x Indexes) String() string {
	var out strings.Builder
	for i, r := range x {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(strconv.Itoa(r.first))
		switch r.last {
		case r.first:
		case r.first + 1:
			out.WriteString("," + strconv.Itoa(r.last))
		default:
			out.WriteString("-" + strconv.Itoa(r.last))
		}
	}
	return out.String()
}

// missing are the first n indexes below completions that are not in the set.
func (x Indexes) missing(n, completions int) []int {
	var all []int
	next := 0
	for _, r := range append(slices.Clone(x), run{completions, completions}) {
		for ; next < min(r.first, completions) && len(all) < n; next++ {
			all = append(all, next)
		}
		next = max(next, r.last+1)
	}
	return all
}

// common is how many indexes both sets have.
func (x Indexes) common(y Indexes) int {
	n := 0
	for i, j := 0, 0; i < len(x) && j < len(y); {
		n += max(min(x[i].last, y[j].last)-max(x[i].first, y[j].first)+1, 0)
		if x[i].last <= y[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}
