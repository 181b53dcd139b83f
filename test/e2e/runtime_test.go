package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// A container runtime of the user's own: here a containerd that an earlier
// server left running. Berth neither starts nor stops it, and takes over what
// runs in it.
func TestContainerRuntimeOfOnesOwn(t *testing.T) {
	c := cluster.New(t, "runtime").Start()
	c.Kubectl("apply", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	before := c.Containers()
	c.Signal("TERM")

	own := cluster.On(t, c.Host, cluster.Bin(t), "--container-runtime-endpoint", "unix://"+filepath.Join(c.Data, "run/containerd.sock"))
	own.Start()
	if after := own.Containers(); after != before {
		t.Errorf("containers changed:\n%s\nnow:\n%s", before, after)
	}
	own.Kubectl("delete", "pod", "web-1")
	own.Kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "statefulset/web", "--timeout=150s")
	if got := own.Kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}"); !strings.HasPrefix(got, "containerd://") {
		t.Errorf("the node reports the runtime %q", got)
	}
	own.Signal("TERM")

	// One that is not there is said in one line.
	out, err := c.Host.Run(t.Context(), c.Berth(), "server", "--data-dir", c.Data, "--node-name", c.Host.Name, "--container-runtime-endpoint", "unix:///nowhere.sock")
	if err == nil || exitCode(err) != 1 || !strings.Contains(lastLine(out), "/nowhere.sock") || !strings.Contains(lastLine(out), "--container-runtime-endpoint") {
		t.Errorf("%v: %s", err, out)
	}
}
