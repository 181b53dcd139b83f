package oracle_test

import (
	"flag"
	"testing"
	"time"

	"berth.dev/berth/test/oracle"
)

var (
	program = flag.String("upstream", "", "the program test/oracle/upstream; make oracle builds it")
	states  = flag.Int("states", 100000, "how many states TestOracle compares")
	seed    = flag.Uint64("seed", 0, "the seed of TestOracle's histories; 0 takes another one each time")
	first   = flag.Uint64("first", 0, "the number of its first history")
	workers = flag.Int("workers", 2, "how many compare at once")
)

// TestOracle asks upstream's controller and ours about the same states.
func TestOracle(t *testing.T) {
	if *program == "" {
		t.Skip("run make oracle")
	}
	begun := time.Now()
	config := oracle.Config{Program: *program, Seed: *seed, First: *first, States: *states, Steps: 8, Workers: *workers, Most: 5}
	if config.Seed == 0 {
		config.Seed = uint64(begun.Unix())
	}
	report, err := oracle.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d, %s", config.Seed, time.Since(begun).Round(time.Second))
	for _, line := range report.Lines() {
		t.Log(line)
	}
	for _, difference := range report.Differences {
		t.Error(difference)
	}
}
