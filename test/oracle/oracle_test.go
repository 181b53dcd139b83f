package oracle_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/test/oracle"
)

var (
	program = flag.String("upstream", "", "the program test/oracle/upstream; make oracle builds it")
	states  = flag.Int("states", 100000, "how many states TestOracle compares")
	seed    = flag.Uint64("seed", 0, "where TestOracle begins; 0 takes another one each time")
)

func TestOracle(t *testing.T) {
	if *program == "" {
		t.Skip("run make oracle")
	}
	up, err := oracle.StartUpstream(t.Context(), *program)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]int{}
	begun := time.Now()
	bad := 0
	for n := range uint64(*states) {
		s := oracle.Draw(*seed, n)
		e, err := oracle.Expect(up, s)
		if err != nil {
			t.Errorf("state %d: %v", n, err)
			bad++
		} else {
			for _, u := range e.Used {
				used[u]++
			}
			diffs, err := oracle.Compare(s, e, oracle.Ours(context.Background(), s, plan.Upstream))
			if err != nil {
				t.Fatal(err)
			}
			if len(diffs) > 0 {
				text, _ := json.Marshal(s)
				t.Errorf("state %d:", n)
				for _, d := range diffs {
					t.Log(d)
				}
				os.WriteFile(fmt.Sprintf("/tmp/berth/oracle/s%d.json", n), text, 0o600)
				bad++
			}
		}
		if bad > 5 {
			break
		}
	}
	t.Log(used, time.Since(begun))
}
