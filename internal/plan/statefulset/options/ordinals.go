package options

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Ordinals is a set of ordinals: spans that ascend and neither overlap nor touch.
type Ordinals []Span

// Span is the ordinals First … Last.
type Span struct{ First, Last int }

// ParseOrdinals reads numbers and ranges that commas part, such as "1,3-5", in any order.
func ParseOrdinals(text string) (Ordinals, error) {
	var spans Ordinals
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		first, err := ordinal(from)
		last := first
		if err == nil && isRange {
			last, err = ordinal(to)
		}
		if err != nil || last < first {
			return nil, fmt.Errorf(`%q is no ordinal and no range of ordinals, such as "1,3-5"`, part)
		}
		spans = append(spans, Span{first, last})
	}
	slices.SortFunc(spans, func(a, b Span) int { return a.First - b.First })
	joined := spans[:0]
	for _, s := range spans {
		if n := len(joined); n > 0 && s.First <= joined[n-1].Last+1 {
			joined[n-1].Last = max(joined[n-1].Last, s.Last)
			continue
		}
		joined = append(joined, s)
	}
	return joined, nil
}

func ordinal(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	return int(n), err
}

// String is what ParseOrdinals reads.
func (o Ordinals) String() string {
	parts := make([]string, len(o))
	for i, s := range o {
		parts[i] = strconv.Itoa(s.First)
		if s.Last > s.First {
			parts[i] += "-" + strconv.Itoa(s.Last)
		}
	}
	return strings.Join(parts, ",")
}

// With is the set and one more ordinal, which must be above all in it.
func (o Ordinals) With(ordinal int) Ordinals {
	if n := len(o); n > 0 && o[n-1].Last == ordinal-1 {
		o[n-1].Last = ordinal
		return o
	}
	return append(o, Span{ordinal, ordinal})
}

// Has reports whether an ordinal is in the set.
func (o Ordinals) Has(ordinal int) bool {
	_, found := slices.BinarySearchFunc(o, ordinal, func(s Span, n int) int {
		switch {
		case s.Last < n:
			return -1
		case s.First > n:
			return 1
		}
		return 0
	})
	return found
}

// Skip returns the ordinal before which n ordinals from start on are not in the set.
func (o Ordinals) Skip(start, n int) int {
	end := start + n
	for _, s := range o {
		if s.Last < start {
			continue
		}
		if s.First >= end {
			break
		}
		end = min(end+s.Last-max(s.First, start)+1, math.MaxInt32)
	}
	return end
}

// Free counts the ordinals from start up to, not including, end that are not in the set.
func (o Ordinals) Free(start, end int) int {
	n := max(end-start, 0)
	for _, s := range o {
		if first, last := max(s.First, start), min(s.Last, end-1); first <= last {
			n -= last - first + 1
		}
	}
	return n
}
