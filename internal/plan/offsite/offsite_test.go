package offsite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name, here, there string
		keep              int
		send, remove      string
	}{
		{"nothing anywhere", "", "", 3, "", ""},
		{"the first", "1", "", 3, "1", ""},
		{"after a long failure the newest goes first", "1 2 3", "", 3, "3 2 1", ""},
		{"a usual day", "3 4 5", "2 3 4", 3, "5", "2"},
		{"all is there", "3 4 5", "3 4 5", 3, "", ""},
		{"fewer are kept there", "1 2 3 4 5", "", 2, "5 4", ""},
		{"more are kept there", "4 5", "1 2 3 4", 4, "5", "1"},
		{"all are kept there", "4 5", "1 2 3 4", 0, "5", ""},
		{"a new data directory removes nothing that is within bounds", "", "1 2 3", 3, "", ""},
		{"fewer are wanted now", "", "1 2 3", 1, "", "1 2"},
		{"one there is missing", "1 2 3", "1 3", 3, "2", ""},
		{"listed in any order", "5 3 4", "4 2 3", 3, "5", "2"},
	} {
		got := Decide(strings.Fields(c.here), strings.Fields(c.there), c.keep)
		if s, r := strings.Join(got.Send, " "), strings.Join(got.Remove, " "); s != c.send || r != c.remove {
			t.Errorf("%s: send %q, remove %q; want %q, %q", c.name, s, r, c.send, c.remove)
		}
	}
}

// Done once it is done for good, the newest are there, and nothing that is sent
// was removed.
func TestDecideIsSettledByOnePass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.Map(rapid.IntRange(0, 30), func(n int) string { return fmt.Sprintf("%02d", n) }), func(s string) string { return s })
		here, there := names.Draw(t, "here"), names.Draw(t, "there")
		keep := rapid.IntRange(0, 8).Draw(t, "keep")
		p := Decide(here, there, keep)
		after := slices.DeleteFunc(slices.Concat(there, p.Send), func(n string) bool { return slices.Contains(p.Remove, n) })
		if again := Decide(here, after, keep); len(again.Send)+len(again.Remove) > 0 {
			t.Fatalf("a second pass does %+v", again)
		}
		if keep > 0 && len(after) > keep {
			t.Fatalf("%d are kept", len(after))
		}
		if len(here) > 0 && !slices.Contains(there, slices.Max(here)) && (len(there) == 0 || slices.Max(here) > slices.Max(there)) && p.Send[0] != slices.Max(here) {
			t.Fatalf("the newest is not the first: %v", p.Send)
		}
		for _, n := range p.Remove {
			if slices.Contains(p.Send, n) || !slices.Contains(there, n) {
				t.Fatalf("%s is removed", n)
			}
		}
	})
}
