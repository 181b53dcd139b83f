package figure

import (
	"fmt"
	"math"
	"strings"
)

// Row says how to show one figure.
type Row struct {
	Name, Unit string
	// Less is better, for times and memory.
	Less bool
}

// Table shows servers side by side.
type Table struct {
	Rows    []Row
	Servers []string
	Series  []Series
	// Against is the one that the first is compared with; 0 is none.
	Against int
}

// Ratio is how many times better the first server is than the one that it is
// compared with, by their medians; false if either has none.
func (t Table) Ratio(row Row) (float64, bool) {
	if t.Against == 0 {
		return 0, false
	}
	ours, ok := t.Series[0].Median(row.Name)
	theirs, known := t.Series[t.Against].Median(row.Name)
	if row.Less {
		ours, theirs = theirs, ours
	}
	if !ok || !known || theirs == 0 {
		return 0, false
	}
	return ours / theirs, true
}

// String is the table in Markdown: medians with their ranges, and the ratio,
// where more is better. Rows that nobody measured are left out.
func (t Table) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "| | | %s | ratio |\n|---|---|%s---|\n", strings.Join(t.Servers, " | "), strings.Repeat("---|", len(t.Servers)))
	for _, row := range t.Rows {
		cells, measured := make([]string, len(t.Series)), false
		for i, series := range t.Series {
			if median, ok := series.Median(row.Name); ok {
				least, greatest := series.Range(row.Name)
				cells[i], measured = fmt.Sprintf("%s (%s-%s)", short(median), short(least), short(greatest)), true
			}
		}
		if !measured {
			continue
		}
		ratio := ""
		if r, ok := t.Ratio(row); ok {
			ratio = fmt.Sprintf("%.2f", r)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", row.Name, row.Unit, strings.Join(cells, " | "), ratio)
	}
	return out.String()
}

// short shows three digits, or all of a large number's.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return fmt.Sprintf("%.*f", min(max(digits, 0), 3), v)
}
