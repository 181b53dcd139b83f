package figure

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPercentile(t *testing.T) {
	ms := func(n ...int) []time.Duration {
		var out []time.Duration
		for _, n := range n {
			out = append(out, time.Duration(n)*time.Millisecond)
		}
		return out
	}
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for name, c := range map[string]struct {
		values []time.Duration
		p      float64
		want   float64
	}{
		"none":                 {nil, 50, 0},
		"one":                  {ms(7), 99, 7},
		"median of three":      {ms(9, 1, 5), 50, 5},
		"median of four":       {ms(4, 3, 2, 1), 50, 2},
		"99 of 100":            {ms(hundred...), 99, 99},
		"50 of 100":            {ms(hundred...), 50, 50},
		"all":                  {ms(hundred...), 100, 100},
		"99 of 10 is the last": {ms(hundred[:10]...), 99, 100},
	} {
		if got := Percentile(c.values, c.p); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// At least p percent of the values are not above the percentile, and fewer
// than that are below it.
func TestPercentileDivides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 20), func(n int) time.Duration { return time.Duration(n) * time.Millisecond }), 1, 200).Draw(t, "values")
		p := float64(rapid.IntRange(1, 100).Draw(t, "p"))
		before := slices.Clone(values)
		at := Percentile(values, p)
		if !slices.Equal(values, before) {
			t.Fatal("the values were changed")
		}
		below, notAbove := 0.0, 0.0
		for _, v := range values {
			if ms := float64(v / time.Millisecond); ms < at {
				below++
			} else if ms == at {
				notAbove++
			}
		}
		notAbove += below
		if n := float64(len(values)); 100*notAbove < p*n || 100*below >= p*n {
			t.Fatalf("%v percent is %v: %v below, %v not above, of %v", p, at, below, notAbove, n)
		}
	})
}

func TestTable(t *testing.T) {
	table := Table{
		Against: 1,
		Rows: []Row{
			{Name: "creates", Unit: "1/s"},
			{Name: "delay", Unit: "ms", Less: true},
			{Name: "nobody's", Unit: "ms"},
			{Name: "ours alone", Unit: "MB", Less: true},
			{Name: "nothing to divide by", Unit: "%", Less: true},
		},
		Servers: []string{"Berth", "upstream", "in memory"},
		Series: []Series{
			{{"creates": 900, "delay": 2}, {"creates": 1300, "delay": 1, "ours alone": 41.26, "nothing to divide by": 0}, {"creates": 1000, "delay": 4}},
			{{"creates": 500, "delay": 3, "nothing to divide by": 1}, {"creates": 700, "delay": 5}},
			{{"delay": 0.1234}},
		},
	}
	want := `| | | Berth | upstream | in memory | ratio |
|---|---|---|---|---|---|
| creates | 1/s | 1000 (900-1300) | 600 (500-700) |  | 1.67 |
| delay | ms | 2.00 (1.00-4.00) | 4.00 (3.00-5.00) | 0.123 (0.123-0.123) | 2.00 |
| ours alone | MB | 41.3 (41.3-41.3) |  |  |  |
| nothing to divide by | % | 0 (0-0) | 1.00 (1.00-1.00) |  |  |
`
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Error(diff)
	}
	table.Against = 0
	if r, ok := table.Ratio(table.Rows[0]); ok {
		t.Errorf("compared with nobody, the ratio is %v", r)
	}
}
