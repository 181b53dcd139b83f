package drills

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/plan/drill"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
	"berth.dev/berth/test/e2e/systems"
)

// `make drills` sets these; CI does two drills on one small system.
var (
	all   = flag.Bool("drills", false, "do all drills on all systems, not only two on the smallest")
	table = flag.String("table", "", "file that the figures are added to")
)

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// drill does one, waits until all is well, looks for each record that was
// acknowledged until then, and adds a row to the table.
func (e *exercise) drill(name string, do func()) {
	e.T.Helper()
	e.Load.Lap()
	began := time.Now()
	do()
	e.Complete(e.C)
	e.Written(1, "after the drill "+name)
	health := time.Since(began)
	e.Written(20, "after the drill "+name)
	lap := e.Load.Lap()
	found := e.Verify(2 * cluster.Patience)
	row := fmt.Sprintf("| %s | %s | %d | %d | %.1f s | %.1f s |", e.Name, name, len(lap.Acknowledged), len(found.Lost), lap.Longest.Seconds(), health.Seconds())
	e.T.Log(row)
	if !found.Good() {
		e.T.Errorf("%s, drill %s: %s", e.Name, name, found)
	}
	if *table == "" {
		return
	}
	f, err := os.OpenFile(*table, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(row + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		e.T.Fatal(err)
	}
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
	e.notices()
}

// notices: a record that is taken away behind everybody's back is seen to be lost.
func (e *exercise) notices() {
	e.T.Helper()
	acknowledged := e.Load.Stop().Acknowledged
	if found := e.Verify(2 * cluster.Patience); !found.Good() {
		e.T.Fatal(found)
	}
	one := strconv.Itoa(acknowledged[len(acknowledged)/2])
	ask := func(command string) string {
		said, err := e.C.Try("exec", e.Pods(e.C)[0], "--", "redis-cli", command, "records", one)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(said)
	}
	e.C.Eventually(0, "0", func() string { // taken away twice is no matter
		ask("srem")
		return ask("sismember")
	})
	e.C.Eventually(0, "["+one+"]", func() string { return fmt.Sprint(e.Verify(0).Lost) })
}

// refuses: without --yes nothing is done, and what is not whole is left alone.
func (e *exercise) refuses() {
	e.T.Helper()
	before := e.C.Containers()
	ask := func(want string, args ...string) {
		e.T.Helper()
		e.C.Eventually(0, "2: ..."+want+"...", func() string { // now and then a pod may not be Ready
			r := e.C.Run(e.C.Berth(), append([]string{"drill", "run"}, append(args, "--data-dir", e.C.Data, "-n", e.C.Namespace())...)...)
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
	if after := e.C.Containers(); after != before {
		e.T.Errorf("refused drills changed containers:\n%s\nnow:\n%s", before, after)
	}
}

// up starts a cluster with a system that is written to, on a disk of its own if asked.
func up(t *testing.T, s systems.System, disk bool) *exercise {
	t.Helper()
	c := cluster.New(t, s.Name)
	folder := filepath.Join(c.Data, "volumes")
	if s.Prepare != nil {
		folder = filepath.Join(c.Host.Dir, "served")
	}
	if disk {
		volumesOn(t, c, folder)
	}
	if s.Prepare != nil {
		s.Prepare(t, c)
	}
	e := &exercise{Running: s.Run(t, c.Start()), disk: folder}
	e.Begin()
	return e
}
