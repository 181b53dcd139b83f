package evict_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/plan/evict"
)

// What pods may have together is watched with the machine's hard threshold.
func TestAllocatable(t *testing.T) {
	memory := evict.Threshold{Signal: evict.MemoryAvailable, Least: evict.Amount{Count: 20}}
	got := evict.Allocatable([]evict.Threshold{{Signal: evict.DiskAvailable}, memory})
	pods := evict.Threshold{Signal: evict.AllocatableMemory, Least: memory.Least}
	if len(got) != 3 || got[2] != pods {
		t.Fatalf("%+v", got)
	}
	_, v := evict.Config{Thresholds: got}.Look(evict.Memory{}, map[evict.Signal]evict.Observation{
		evict.MemoryAvailable: {Available: 50, Capacity: 100}, evict.AllocatableMemory: {Available: 10, Capacity: 80},
	}, time.Unix(1000, 0))
	if v.Reclaim == nil || *v.Reclaim != pods || len(v.Conditions) != 1 || v.Conditions[0] != "MemoryPressure" {
		t.Errorf("%+v", v)
	}
	if got := evict.Allocatable([]evict.Threshold{{Signal: evict.DiskAvailable}}); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// Each look is a time in seconds, what is free of memory and of disk (of 100),
// and what is said then.
func TestLook(t *testing.T) {
	hard := []evict.Threshold{
		{Signal: evict.DiskAvailable, Least: evict.Amount{Share: 0.10}, Reclaim: evict.Amount{Count: 5}},
		{Signal: evict.MemoryAvailable, Least: evict.Amount{Count: 20}},
		{Signal: evict.PIDAvailable},
	}
	soft := []evict.Threshold{{Signal: evict.MemoryAvailable, Least: evict.Amount{Share: 0.30}, Grace: 30 * time.Second}}
	for name, c := range map[string]struct {
		thresholds []evict.Threshold
		looks      string
	}{
		"enough":                          {hard, "0 50 50: []"},
		"getting close":                   {hard, "0 39 50: [] close\n10 40 50: []"},
		"too little, at once":             {hard, "0 19 50: [MemoryPressure] reclaim memory close"},
		"memory before disk":              {hard, "0 19 9: [MemoryPressure DiskPressure] reclaim memory close"},
		"the condition holds on":          {hard, "0 10 50: [MemoryPressure] reclaim memory close\n10 90 50: [MemoryPressure]\n59 90 50: [MemoryPressure]\n60 90 50: []"},
		"a little more has to be free":    {hard, "0 50 9: [DiskPressure] reclaim ephemeral-storage close\n10 50 12: [DiskPressure] reclaim ephemeral-storage close\n20 50 15: [DiskPressure] close\n30 50 12: [DiskPressure] close"},
		"soft, after its time":            {soft, "0 29 50: [MemoryPressure] close\n29 29 50: [MemoryPressure] close\n30 29 50: [MemoryPressure] reclaim memory close"},
		"soft, enough in between":         {soft, "0 29 50: [MemoryPressure] close\n20 30 50: [MemoryPressure] close\n30 29 50: [MemoryPressure] close\n60 29 50: [MemoryPressure] reclaim memory close"},
		"nothing is known of process IDs": {hard[2:], "0 1 1: []"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := evict.Config{Thresholds: c.thresholds, Transition: time.Minute}
			var memory evict.Memory
			var got []string
			for line := range strings.Lines(c.looks) {
				var at, free, disk int64
				if _, err := fmt.Sscanf(line, "%d %d %d:", &at, &free, &disk); err != nil {
					t.Fatal(err)
				}
				var v evict.Verdict
				memory, v = cfg.Look(memory, map[evict.Signal]evict.Observation{
					evict.MemoryAvailable: {Available: free, Capacity: 100}, evict.DiskAvailable: {Available: disk, Capacity: 100},
				}, time.Unix(1000+at, 0))
				said := fmt.Sprintf("%d %d %d: %v", at, free, disk, v.Conditions)
				if v.Reclaim != nil {
					said += fmt.Sprintf(" reclaim %s", v.Reclaim.Signal.Resource())
				}
				if v.Close {
					said += " close"
				}
				got = append(got, said)
			}
			if diff := cmp.Diff(strings.Split(c.looks, "\n"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
