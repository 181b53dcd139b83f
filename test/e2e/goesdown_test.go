package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/node/shutdown/logind/fakelogind"
	"berth.dev/berth/test/e2e/cluster"
)

// The machine goes down while pods run: they end in order and are told to have
// ended, nothing new begins, and only then is the machine let go. After it is up
// again, all of it is back, static pods too.
func TestMachineGoesDown(t *testing.T) {
	c := cluster.New(t, "falls", "--shutdown-grace-period", "5m", "--shutdown-grace-period-critical-pods", "2m")
	bus, err := fakelogind.Listen(filepath.Join(c.Host.Dir, "bus"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address())
	c.Start()
	signal := func(what string, from <-chan struct{}) {
		t.Helper()
		select {
		case <-from:
		case <-time.After(2 * time.Minute):
			t.Fatalf("never: %s", what)
		}
	}
	signal("the machine is held", bus.Held())
	c.Import(nginxImage(t))

	criticalMakesRoom(t, c)
	order := filepath.Join(c.Host.Dir, "order")
	if err := os.WriteFile(order, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	volume := "      volumeMounts: [{name: order, mountPath: /order}]\n  volumes: [{name: order, hostPath: {path: " + order + ", type: File}}]\n"
	says := func(what string) string {
		return "trap 'echo " + what + " >> /order; exit 0' TERM; while :; do sleep 0.1; done"
	}
	c.Apply(shell("plain", says("plain"), volume) + "---" + shell("critical", says("critical"), volume+"  priorityClassName: system-node-critical\n") +
		"---" + shell("never", says("never"), volume+"  restartPolicy: Never\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=150s")
	manifest(t, c, "here.yaml", shell("here", forever, ""))
	stays := func() string {
		out, _ := c.Try("get", "pod", "here-falls", "-o", `jsonpath={.status.phase} {.status.conditions[?(@.type=="Ready")].status}`)
		return out
	}
	c.Eventually(60*time.Second, "Running True", stays)

	// A stop of berth is not the machine's.
	before := c.Containers()
	c.Signal("TERM")
	signal("a stop lets the machine go", bus.Released())
	c.Start()
	signal("the machine is held again", bus.Held())
	same(t, "after a stop of berth", c.Containers(), before)

	if err := bus.Prepare(true); err != nil {
		t.Fatal(err)
	}
	signal("the machine is let go", bus.Released())
	text, err := os.ReadFile(order)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	if len(lines) != 3 || lines[2] != "critical" {
		t.Errorf("they ended in this order: %q", lines)
	}
	for _, pod := range []string{"plain", "critical", "never", "here-falls"} {
		same(t, pod, c.Ask("get", "pod", pod, "-o", `jsonpath={.status.phase} {.status.reason}: {.status.message} {.status.conditions[?(@.type=="DisruptionTarget")].reason}`),
			"Failed Terminated: Pod was terminated in response to imminent node shutdown. TerminationByKubelet")
	}
	c.Eventually(60*time.Second, "False KubeletNotReady node is shutting down", func() string {
		return c.Kubectl("get", "node", "falls", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")]['status','reason','message']}`)
	})
	c.Apply(shell("late", forever, "  nodeName: falls\n"))
	c.Kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/late", "--timeout=150s")
	same(t, "what comes late", c.Ask("get", "pod", "late", "-o", "jsonpath={.status.reason}: {.status.message}"),
		"NodeShutdown: Pod was rejected: Pod was rejected as the node is shutting down.")

	c.Host.Reboot()
	if err := bus.Prepare(false); err != nil {
		t.Fatal(err)
	}
	c.Start()
	c.Eventually(60*time.Second, "Running True", stays)
	same(t, "what has ended", c.Ask("get", "pod", "plain", "-o", "jsonpath={.status.phase}"), "Failed")
}

// A critical pod that is bound directly to a full node takes the place of another.
func criticalMakesRoom(t *testing.T, c *cluster.Cluster) {
	all := c.Kubectl("get", "node", "falls", "-o", "jsonpath={.status.allocatable.cpu}")
	c.Apply(shell("filler", forever, "      resources: {requests: {cpu: '"+all+"'}}\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/filler", "--timeout=150s")
	c.Apply(shell("needed", forever, "      resources: {requests: {cpu: 100m}}\n  nodeName: falls\n  priorityClassName: system-node-critical\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/needed", "--timeout=150s")
	same(t, "the other", c.Ask("get", "pod", "filler", "-o", `jsonpath={.status.phase} {.status.reason}: {.status.message}. {.status.conditions[?(@.type=="DisruptionTarget")].message}`),
		"Failed Preempting: Preempted in order to admit critical pod. Pod was preempted by Kubelet to accommodate a critical pod.")
	c.Kubectl("delete", "pod", "filler", "needed", "--timeout=150s")
}
