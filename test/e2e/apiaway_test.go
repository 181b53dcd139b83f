package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// The servers of a node do not answer for a while. Its pods run on, and one
// whose process ends is restarted; all of it is told when they are back.
func apiAway(t *testing.T, c, a *cluster.Cluster, pod string) {
	before := c.Containers()
	restarts := func() string {
		out, _ := c.Try("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0]['restartCount','ready','lastState.terminated.exitCode']}")
		return out
	}
	same(t, "before", restarts(), "0 true")
	mine := func(command string) bool { return strings.Contains(command, "echo here is ") }
	running := func() []string { return a.Host.Find(mine) }
	pids := running()
	if len(pids) == 0 {
		t.Fatal("no container runs on the second node")
	}
	c.Freeze()
	a.Host.MustRun(t.Context(), "sh", "-c", "kill -9 "+strings.Join(pids, " "))
	// Without anybody to ask, as many run again.
	c.Eventually(60*time.Second, "true", func() string {
		now := running()
		for _, old := range pids {
			for _, pid := range now {
				if pid == old {
					return "still " + old
				}
			}
		}
		return fmt.Sprint(len(now) == len(pids))
	})
	staticWithoutServers(t, c, a)
	c.Thaw()
	c.Eventually(60*time.Second, "1 true 137", restarts)
	for _, pod := range []string{"early-two", "late-two"} {
		c.Eventually(60*time.Second, "Running 0", func() string {
			out, _ := c.Try("get", "pod", pod, "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}")
			return out
		})
	}
	manifest(t, a, "early.yaml", "")
	manifest(t, a, "late.yaml", "")
	c.Eventually(60*time.Second, "", func() string {
		return strings.Join(a.Host.Find(func(command string) bool { return strings.Contains(command, "static pod") }), " ")
	})
	after := c.Containers()
	for line := range strings.Lines(before) {
		if name, _, _ := strings.Cut(line, " "); strings.HasSuffix(strings.TrimSpace(line), " 0") && c.Kubectl("get", "pod", name, "-o", "jsonpath={.spec.nodeName}") == "one" && !strings.Contains(after, line) {
			t.Errorf("a pod of the other node was disturbed: %s", line)
		}
	}
}

// Static pods begin while nobody answers, also on a node that has just started.
func staticWithoutServers(t *testing.T, c, a *cluster.Cluster) {
	runs := func(name string) func() string {
		return func() string {
			return fmt.Sprint(len(a.Host.Find(func(command string) bool { return strings.Contains(command, "static pod "+name) })))
		}
	}
	text := func(name string) string {
		return shell(name, "echo static pod "+name+"; "+forever, "  hostNetwork: true\n")
	}
	manifest(t, a, "early.yaml", text("early"))
	c.Eventually(60*time.Second, "1", runs("early"))
	a.Kill()
	manifest(t, a, "late.yaml", text("late"))
	a.Launch()
	c.Eventually(60*time.Second, "1", runs("late"))
	same(t, "what ran before", runs("early")(), "1")
}
