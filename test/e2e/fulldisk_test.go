package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A node whose disk counts as full takes no pods and says so; with space, which
// here is another threshold, they start.
func TestDiskPressure(t *testing.T) {
	c := cluster.New(t, "tight", "--eviction-hard", "nodefs.available=100%")
	c.Launch()
	c.Eventually(30*time.Second, "True kubelet has disk pressure", func() string {
		out, _ := c.Try("get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="DiskPressure")]['status','message']}`)
		return out
	})
	c.Apply(set("name: bad}", "name: s}", "replicas: 0", "replicas: 1"))
	c.Eventually(20*time.Second, "true", func() string {
		return fmt.Sprint(strings.Contains(c.Kubectl("describe", "pods"), "0/1 nodes are available: 1 node(s) had untolerated taint(s)."))
	})
	says(t, "why", c.Run(c.Berth(), "why", "pod/s-0", "--kubeconfig", filepath.Join(c.Data, "kubeconfig")).Out,
		"taint node.kubernetes.io/disk-pressure:NoSchedule: its disk is nearly full (nodefs.available of --eviction-hard)", "describe node tight")
	c.Signal("TERM")

	c = cluster.On(t, c.Host, cluster.Bin(t)).Start()
	c.Kubectl("wait", "--for=jsonpath={.spec.nodeName}=tight", "pod/s-0", "--timeout=60s")
}

// The disk of the data directory runs full, berth is killed meanwhile and
// started in vain. With space again everything is as it was: what had been
// acknowledged is there, and no container was disturbed.
func TestFullDisk(t *testing.T) {
	c := cluster.New(t, "full")
	c.Host.MustRun(t.Context(), "mkdir", "-p", c.Data)
	c.Host.MustRun(t.Context(), "mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", c.Data)
	c.Start()
	c.Kubectl("apply", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=60s")
	before := c.Containers()

	fill := filepath.Join(c.Data, "fill")
	if out, err := c.Host.Run(t.Context(), "dd", "if=/dev/zero", "of="+fill, "bs=1M"); err == nil {
		t.Fatalf("the disk is not full: %s", out)
	}
	var acknowledged []string
	for i := 0; ; i++ {
		name := fmt.Sprintf("c%d", i)
		if _, err := c.Try("create", "configmap", name, "--from-literal=text="+strings.Repeat("x", 100_000)); err != nil {
			break
		}
		acknowledged = append(acknowledged, name)
		if i == 1000 {
			t.Fatal("a full disk takes everything")
		}
	}
	c.Gone(15 * time.Second)
	if line := lastLine(c.Log()); !strings.HasPrefix(line, "berth: the datastore in ") || !strings.Contains(line, "no space left on device; make space there and start berth again") {
		t.Errorf("its last words: %s", line)
	}

	out, err := c.Host.Run(t.Context(), c.Berth(), "server", "--data-dir", c.Data, "--node-name", c.Host.Name)
	if err == nil || exitCode(err) != 1 || !strings.Contains(lastLine(out), "no space left on device") {
		t.Errorf("started on a full disk: %v: %s", err, out)
	}

	c.Host.MustRun(t.Context(), "rm", fill)
	c.Start()
	if after := c.Containers(); after != before {
		t.Errorf("containers changed:\n%s\nnow:\n%s", before, after)
	}
	for _, name := range acknowledged {
		c.Kubectl("get", "configmap", name)
	}
	c.Kubectl("delete", "pod", "web-1")
	c.Kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "statefulset/web", "--timeout=60s")
	c.Kubectl("delete", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
}
