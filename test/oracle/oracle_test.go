package oracle

import (
	"flag"
	"testing"
	"time"

	plan "berth.dev/berth/internal/plan/statefulset"
)

var (
	program = flag.String("upstream", "", "the program test/oracle/upstream; make oracle builds it")
	states  = flag.Int("states", 100000, "how many states TestOracle compares")
	seed    = flag.Uint64("seed", 0, "the seed of the histories; 0 takes another one each time")
	first   = flag.Uint64("first", 0, "the number of the first history")
	workers = flag.Int("workers", 2, "how many compare at once")
)

// config is what the flags say, for so many states and differences.
func config(t *testing.T, states, most int) Config {
	t.Helper()
	if *program == "" {
		t.Skip("run make oracle")
	}
	c := Config{Program: *program, Seed: *seed, First: *first, States: states, Steps: 8, Workers: *workers, Most: most}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().Unix())
	}
	return c
}

// TestOracle asks upstream's controller and ours about the same states.
func TestOracle(t *testing.T) {
	c, begun := config(t, *states, 5), time.Now()
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d, %s", c.Seed, time.Since(begun).Round(time.Second))
	for _, line := range report.Lines() {
		t.Log(line)
	}
	for _, difference := range report.Differences {
		t.Error(difference)
	}
}

// TestOracleSeesEachRule turns our deviations on, one by one: a comparison that
// does not see them would see nothing.
func TestOracleSeesEachRule(t *testing.T) {
	for name, rules := range map[string]plan.Rules{
		"RepairForcedRollback":   {RepairForcedRollback: true},
		"AvailableBeforeCurrent": {AvailableBeforeCurrent: true},
		"UpdateParallelPods":     {UpdateParallelPods: true},
		"OrderedWindow":          {OrderedWindow: true},
		"Conditions":             {Conditions: true},
		"GrowClaims":             {GrowClaims: true},
		"StatusWithOutcome":      {StatusWithOutcome: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, 20000, 1)
			c.Rules = rules
			report, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Differences) == 0 {
				t.Errorf("seed %d: %d states show no difference", c.Seed, report.States)
				return
			}
			t.Log(report.Differences[0])
		})
	}
}
