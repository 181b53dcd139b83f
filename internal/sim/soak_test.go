package sim_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSoak runs histories for as long as it is told and says what they were made
// of. Each soak begins at another seed; -seed begins where one is told.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("run with -soak, as make soak does")
	}
	begun := time.Now()
	seed := uint64(begun.Unix()) << 20
	if *firstSeed != 1 {
		seed = *firstSeed
	}
	t.Logf("from seed %d on", seed)
	runs, steps, writes, faults := 0, 0, 0, map[string]int{}
	for ; time.Since(begun) < *soak; seed++ {
		s := history(t, seed)
		runs, steps, writes = runs+1, steps+s.Steps(), writes+s.Writes()
		for _, line := range s.Trace() {
			if _, what, ok := strings.Cut(line, "fault: "); ok {
				faults[kindOfFault(what)]++
			}
		}
	}
	t.Logf("%d histories in %s: %d steps, %d writes by loops", runs, time.Since(begun).Round(time.Second), steps, writes)
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		t.Logf("%7d  %s", faults[kind], kind)
	}
}

// kindOfFault leaves names out.
func kindOfFault(what string) string {
	for _, kind := range []string{"the process dies", "the process restarts", "conflict", "server error", "written, but", "watch of", "somebody deletes", "silent", "becomes unready", "fails"} {
		if strings.Contains(what, kind) {
			return kind
		}
	}
	return what
}
