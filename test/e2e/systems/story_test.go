package systems

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// all is set by `make examples`; CI runs one small system.
var all = flag.Bool("examples", false, "run all systems of examples/, not only the smallest")

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// run is a system that is up on a cluster of its own.
type run struct{ *Running }

// begin starts a cluster with a system on it, and a client that writes.
func begin(t *testing.T, s System) *run {
	t.Helper()
	r := up(t, s)
	r.Begin()
	return r
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
	return &run{s.Run(t, c.Start())}
}

// smoke is the system that CI runs.
const smoke = "redis"

// written waits until more records are acknowledged.
func (r *run) written(when string) {
	r.T.Helper()
	r.Written(20, when)
}

// lose loses one pod after the other.
func (r *run) lose(pods ...string) {
	r.T.Helper()
	for _, pod := range pods {
		r.Lose(r.T, r.C, pod)
		r.written("after " + pod + " was lost")
	}
}

// end stops the client and looks for each record that it was promised.
func (r *run) end() {
	r.T.Helper()
	report := r.Load.Stop()
	r.T.Logf("%s: %s", r.Name, report)
	if found := r.Verify(2 * cluster.Patience); !found.Good() {
		r.T.Errorf("%s: %s", r.Name, found)
	}
}

// kill kills what runs a program in a pod, at once, and waits until its container runs again.
func (r *run) kill(pod, command string) {
	r.T.Helper()
	restarts := func() string {
		return r.C.Kubectl("get", "pod", pod, "-o", `jsonpath={.status.containerStatuses[*].restartCount}/{.status.conditions[?(@.type=="Ready")].status}`)
	}
	var before string
	r.C.Eventually(0, "Ready", func() string {
		if before = restarts(); strings.HasSuffix(before, "/True") {
			return "Ready"
		}
		return before
	})
	pids := r.C.Host.Find(func(line string) bool { return strings.HasPrefix(line+" ", command) })
	uid := r.C.Kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	pids = slices.DeleteFunc(pids, func(pid string) bool {
		group, err := os.ReadFile(r.C.Host.Path("/proc/" + pid + "/cgroup"))
		return err != nil || !strings.Contains(strings.ReplaceAll(string(group), "_", "-"), uid)
	})
	if len(pids) == 0 {
		r.T.Fatalf("no process %q in %s", command, pod)
	}
	r.C.Host.MustRun(r.T.Context(), "kill", append([]string{"-9"}, pids...)...)
	r.C.Eventually(0, "again", func() string {
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
	r.T.Helper()
	r.C.Kubectl("scale", "statefulset", r.Set, "--replicas="+strconv.Itoa(replicas))
	r.Complete(r.C)
	r.written(fmt.Sprintf("with %d replicas", replicas))
}

// sorted joins words in order.
func sorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}
