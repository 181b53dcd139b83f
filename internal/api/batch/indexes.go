package batch

import (
	"fmt"
	"strconv"
	"strings"
)

// span is a run of indexes, both ends included.
type span struct{ first, last int32 }

// readSpan reads "3" or "3-5". All indexes are below completions.
func readSpan(text string, completions int32) (span, error) {
	ends := strings.Split(text, "-")
	if len(ends) > 2 {
		return span{}, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", text)
	}
	var n [2]int32
	for i, end := range ends {
		v, err := strconv.Atoi(end)
		if err != nil {
			return span{}, fmt.Errorf("cannot convert string to integer for index: %q", end)
		}
		if v >= int(completions) {
			return span{}, fmt.Errorf("too large index: %q", end)
		}
		n[i] = int32(v)
	}
	if len(ends) == 1 {
		return span{n[0], n[0]}, nil
	}
	if n[0] >= n[1] {
		return span{}, fmt.Errorf("non-increasing order, previous: %d, current: %d", n[0], n[1])
	}
	return span{n[0], n[1]}, nil
}

// countIndexes reads a list such as "1,3-5" and counts its indexes.
func countIndexes(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	total, before := int32(0), int32(-1)
	for i, part := range strings.Split(text, ",") {
		s, err := readSpan(part, completions)
		if err != nil {
			return 0, err
		}
		if i > 0 && before >= s.first {
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", before, s.first)
		}
		total += s.last - s.first + 1
		before = s.last
	}
	return total, nil
}

// overlap finds the first index in both lists. Parts that cannot be read are
// skipped: that they are wrong is said elsewhere.
func overlap(completed, failed string, completions int32) (int32, bool) {
	a, b := spans(completed, completions), spans(failed, completions)
	for len(a) > 0 && len(b) > 0 {
		if a[0].first <= b[0].last && b[0].first <= a[0].last {
			return max(a[0].first, b[0].first), true
		}
		if a[0].first <= b[0].first {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return 0, false
}

func spans(text string, completions int32) []span {
	if text == "" {
		return nil
	}
	var out []span
	for _, part := range strings.Split(text, ",") {
		if s, err := readSpan(part, completions); err == nil {
			out = append(out, s)
		}
	}
	return out
}
