package systems

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
	"berth.dev/berth/test/e2e/load"
)

// all is set by `make examples`; CI runs one small system.
var all = flag.Bool("examples", false, "run all systems of examples/, not only the smallest")

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// run is a system that is up on a cluster of its own and written to.
type run struct {
	System
	t     *testing.T
	c     *cluster.Cluster
	dial  load.Dial
	store load.Store
	load  *load.Load
}

// begin starts a cluster with a system on it, and a client that writes.
func begin(t *testing.T, s System) *run {
	t.Helper()
	r := up(t, s)
	r.write()
	return r
}

// write starts the client.
func (r *run) write() {
	r.t.Helper()
	r.store = r.Store(r.dial)
	r.load = load.Start(r.t.Context(), r.store)
	r.t.Cleanup(func() { r.load.Stop() })
	r.written("at first")
}

// up starts a cluster with a system on it.
func up(t *testing.T, s System) *run {
	t.Helper()
	if !*all && s.Name != smoke {
		t.Skip("make examples runs it")
	}
	c := cluster.New(t, s.Name)
	if s.Prepare != nil {
		s.Prepare(t, c)
	}
	c.Start()
	if s.Namespace != "" {
		c = c.In(t, s.Namespace)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the containers of %s said:\n%s", s.Name, s.Said(c))
		}
	})
	began := time.Now()
	s.Up(t, c)
	if s.Formed != nil {
		s.Formed(c)
	}
	t.Logf("%s is up after %s", s.Name, time.Since(began).Round(time.Millisecond))
	return &run{System: s, t: t, c: c, dial: Dial(c)}
}

// smoke is the system that CI runs.
const smoke = "redis"

// written waits until more records are acknowledged, if there is a client.
func (r *run) written(when string) {
	r.t.Helper()
	if r.load == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*cluster.Patience)
	defer cancel()
	if err := r.load.Await(ctx, 20); err != nil {
		r.t.Fatalf("%s %s: %v", r.Name, when, err)
	}
}

// lose loses one pod after the other.
func (r *run) lose(pods ...string) {
	r.t.Helper()
	for _, pod := range pods {
		r.Lose(r.t, r.c, pod)
		r.written("after " + pod + " was lost")
	}
}

// end stops the client and looks for each record that it was promised, by each
// of these ways.
func (r *run) end(stores ...load.Store) {
	r.t.Helper()
	report := r.load.Stop()
	r.t.Logf("%s: %s", r.Name, report)
	for i, store := range append([]load.Store{r.store}, stores...) {
		r.c.Eventually(cluster.Patience, "all", func() string {
			ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
			defer cancel()
			present, err := store.Read(ctx)
			if err != nil {
				return err.Error()
			}
			if found := report.Check(present); !found.Good() {
				return found.String()
			}
			r.t.Logf("%s: way %d of reading has %d records, none of %d lost", r.Name, i, len(present), len(report.Acknowledged))
			return "all"
		})
	}
}

// kill kills what runs a program in a pod, at once, and waits until its container runs again.
func (r *run) kill(pod, command string) {
	r.t.Helper()
	restarts := func() string {
		return r.c.Kubectl("get", "pod", pod, "-o", `jsonpath={.status.containerStatuses[*].restartCount}/{.status.conditions[?(@.type=="Ready")].status}`)
	}
	var before string
	r.c.Eventually(0, "Ready", func() string {
		if before = restarts(); strings.HasSuffix(before, "/True") {
			return "Ready"
		}
		return before
	})
	pids := r.c.Host.Find(func(line string) bool { return strings.HasPrefix(line+" ", command) })
	uid := r.c.Kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	pids = slices.DeleteFunc(pids, func(pid string) bool {
		group, err := os.ReadFile(r.c.Host.Path("/proc/" + pid + "/cgroup"))
		return err != nil || !strings.Contains(strings.ReplaceAll(string(group), "_", "-"), uid)
	})
	if len(pids) == 0 {
		r.t.Fatalf("no process %q in %s", command, pod)
	}
	r.c.Host.MustRun(r.t.Context(), "kill", append([]string{"-9"}, pids...)...)
	r.c.Eventually(0, "again", func() string {
		said := restarts()
		if said != before && strings.HasSuffix(said, "/True") {
			return "again"
		}
		return said
	})
	r.written("after " + pod + " was killed")
}

// scale scales the set and waits until it is complete.
func (r *run) scale(replicas int) {
	r.t.Helper()
	r.c.Kubectl("scale", "statefulset", r.Set, "--replicas="+strconv.Itoa(replicas))
	r.Complete(r.c)
	r.written(fmt.Sprintf("with %d replicas", replicas))
}

// sorted joins words in order.
func sorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}
