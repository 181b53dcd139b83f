package drills

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/plan/drill"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
	"berth.dev/berth/test/e2e/load"
	"berth.dev/berth/test/e2e/systems"
)

// all is set by `make drills`; CI does two drills on one small system.
var all = flag.Bool("drills", false, "do all drills on all systems, not only two on the smallest")

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// exercise is a system under load, and what its drills have shown.
type exercise struct {
	ring
	store load.Store
	load  *load.Load
	rows  []string
}

// begin starts the client.
func (e *exercise) begin() {
	e.t.Helper()
	e.store = e.Store(systems.Dial(e.c))
	e.load = load.Start(e.t.Context(), e.store)
	e.t.Cleanup(func() { e.load.Stop() })
	e.written(20)
}

// written waits until more records are acknowledged.
func (e *exercise) written(count int) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), limit)
	defer cancel()
	if err := e.load.Await(ctx, count); err != nil {
		e.t.Fatalf("%s: %v", e.Name, err)
	}
}

// drill does one, waits until all is well, and looks for each record that was
// acknowledged until then.
func (e *exercise) drill(name string, do func()) {
	e.t.Helper()
	e.load.Lap()
	began := time.Now()
	do()
	e.Complete(e.c)
	e.written(1)
	health := time.Since(began)
	e.written(20)
	lap := e.load.Lap()
	lost := e.lost()
	row := fmt.Sprintf("| %s | %s | %d | %d | %.1f s | %.1f s |", e.Name, name, len(lap.Acknowledged), lost, lap.Longest.Seconds(), health.Seconds())
	e.t.Log(row)
	e.rows = append(e.rows, row)
}

// lost is how many acknowledged records are not there: none, or the test has failed.
func (e *exercise) lost() int {
	e.t.Helper()
	var missing []int
	e.c.Eventually(limit, "all", func() string {
		acknowledged := e.load.Acknowledged()
		ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
		defer cancel()
		present, err := e.store.Read(ctx)
		if err != nil {
			return err.Error()
		}
		missing = load.Report{Acknowledged: acknowledged}.Check(present).Lost
		if len(missing) > 0 {
			return fmt.Sprintf("%s has lost %d of %d acknowledged records: %v", e.Name, len(missing), len(acknowledged), missing)
		}
		return "all"
	})
	return len(missing)
}

// do does one drill of `berth drill`.
func (e *exercise) do(kind string, flags ...string) {
	e.drill(kind, func() { e.berth(kind, flags...) })
}

// CI: the two that hurt most, on the smallest system.
func TestRedisSurvives(t *testing.T) {
	if *all {
		t.Skip("TestDrills does these and more")
	}
	e := up(t, systems.Redis, false)
	e.refuses()
	e.do(drill.Pod)
	e.do(drill.Machine)
}

// refuses: without --yes nothing is done, and what is not whole is left alone.
func (e *exercise) refuses() {
	e.t.Helper()
	before := e.c.Containers()
	ask := func(want string, args ...string) {
		e.t.Helper()
		e.c.Eventually(0, "2: ..."+want+"...", func() string { // now and then a pod may not be Ready
			r := e.c.Run(e.c.Berth(), append([]string{"drill", "run"}, append(args, "--data-dir", e.c.Data, "-n", e.c.Namespace())...)...)
			if strings.Contains(r.Err, want) {
				r.Err = "..." + want + "..."
			}
			return fmt.Sprintf("%d: %s", r.Code, r.Err)
		})
	}
	ask("berth: nothing is done without --yes", drill.Machine, "sts/"+e.Set)
	ask("is no pod of it", drill.Pod, "sts/"+e.Set, "--pod", "another-0", "--yes")
	ask(`there is no drill "flood"`, "flood", "sts/"+e.Set, "--yes")
	ask("needs --image", drill.Image, "sts/"+e.Set, "--yes")
	ask("not found", drill.Pod, "sts/none", "--yes")
	if after := e.c.Containers(); after != before {
		e.t.Errorf("refused drills changed containers:\n%s\nnow:\n%s", before, after)
	}
}

// up starts a cluster with a system that is written to, on a disk of its own if asked.
func up(t *testing.T, s systems.System, disk bool) *exercise {
	t.Helper()
	c := cluster.New(t, s.Name)
	e := &exercise{ring: ring{System: s, t: t, c: c, disk: filepath.Join(c.Data, "volumes")}}
	if disk {
		if s.Prepare != nil {
			e.disk = filepath.Join(c.Host.Dir, "served")
		}
		volumesOn(t, c, e.disk)
	}
	if s.Prepare != nil {
		s.Prepare(t, c)
	}
	c.Start()
	e.run(c)
	return e
}

// run runs the system on a cluster that is up.
func (e *exercise) run(c *cluster.Cluster) {
	e.t.Helper()
	if e.Namespace != "" {
		c = c.In(e.t, e.Namespace)
	}
	e.c = c
	e.t.Cleanup(func() {
		if e.t.Failed() {
			e.t.Logf("what the containers of %s said:\n%s", e.Name, e.Said(c))
		}
	})
	e.Up(e.t, c)
	if e.Formed != nil {
		e.Formed(c)
	}
	e.begin()
}
