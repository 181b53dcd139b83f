package figure

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Sample is what one repeat measured, by the name of the row.
type Sample map[string]float64

// Series are the samples of one server in their order.
type Series []Sample

// Median of a row over the samples that have it; false if none has.
func (s Series) Median(row string) (float64, bool) {
	values := s.sorted(row)
	if len(values) == 0 {
		return 0, false
	}
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle], true
	}
	return (values[middle-1] + values[middle]) / 2, true
}

// Range of a row: its least and its greatest value.
func (s Series) Range(row string) (least, greatest float64) {
	values := s.sorted(row)
	if len(values) == 0 {
		return 0, 0
	}
	return values[0], values[len(values)-1]
}

func (s Series) sorted(row string) []float64 {
	var values []float64
	for _, sample := range s {
		if v, ok := sample[row]; ok {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return values
}

// Percentile is the smallest of the values that p percent of them do not
// exceed (nearest rank), in milliseconds; 0 when there are none.
func Percentile(values []time.Duration, p float64) float64 {
	if p <= 0 || p > 100 {
		panic(fmt.Sprintf("percentile %v is not above 0 and at most 100", p))
	}
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[max(rank, 1)-1]) / float64(time.Millisecond)
}
