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
	c.Eventually(60*time.Second, "True kubelet has disk pressure", func() string {
		out, _ := c.Try("get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="DiskPressure")]['status','message']}`)
		return out
	})
	c.Apply(set("name: bad}", "name: s}", "replicas: 0", "replicas: 1"))
	c.Eventually(60*time.Second, "true", func() string {
		return fmt.Sprint(strings.Contains(c.Kubectl("describe", "pods"), "0/1 nodes are available: 1 node(s) had untolerated taint(s)."))
	})
	says(t, "why", c.Run(c.Berth(), "why", "pod/s-0", "--kubeconfig", filepath.Join(c.Data, "kubeconfig")).Out,
		"taint node.kubernetes.io/disk-pressure:NoSchedule: its disk is nearly full (nodefs.available of --eviction-hard)", "describe node tight")
	c.Signal("TERM")

	c = cluster.On(t, c.Host, cluster.Bin(t)).Start()
	c.Kubectl("wait", "--for=condition=Ready", "pod/s-0", "--timeout=150s")
	before := c.Kubectl("get", "pod", "s-0", "-o", "jsonpath={.metadata.uid}")

	c.Signal("TERM")

	// Now it is memory that is short: what runs is evicted, what replaces it waits.
	c = cluster.On(t, c.Host, cluster.Bin(t), "--eviction-hard", "memory.available=9Ti")
	c.Launch()
	c.Eventually(60*time.Second, "Pending", func() string {
		out, err := c.Try("get", "pod", "s-0", "-o", "jsonpath={.metadata.uid} {.status.phase}")
		if uid, phase, _ := strings.Cut(out, " "); err == nil && uid != before {
			return phase
		}
		return "still " + out
	})
	c.Eventually(60*time.Second, "true", func() string {
		out, _ := c.Try("get", "events", "-o", "jsonpath={range .items[*]}{.type} {.reason} {.message}{\"\\n\"}{end}")
		return fmt.Sprint(matched(`(?s).*Warning Evicted The node was low on resource: memory. Threshold quantity: 9Ti, available: [0-9]+Ki. Container c was using [0-9]+(Ki)?, request is 0, has larger consumption of memory. .*`, out) &&
			strings.Contains(out, "Warning EvictionThresholdMet Attempting to reclaim memory"))
	})
}

// readOnly makes the disk read-only while nothing writes to it: berth says so
// and leaves it at that, the pods run on, and all is well when it is mended.
func readOnly(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	before := c.Containers()
	c.Kill()
	runtime := c.Host.Find(func(command string) bool { return strings.Contains(command, "/containerd --config") })
	c.Host.MustRun(t.Context(), "kill", append([]string{"-9"}, runtime...)...)
	c.Eventually(60*time.Second, "", func() string { // what it had open goes with it
		out, _ := c.Host.Run(t.Context(), "mount", "-o", "remount,bind,ro", c.Data)
		return out
	})
	out, err := c.Host.Run(t.Context(), c.Berth(), "server", "--data-dir", c.Data, "--node-name", c.Host.Name)
	if err == nil || exitCode(err) != 1 || !strings.Contains(lastLine(out), "read-only file system") || !strings.HasPrefix(lastLine(out), "berth: ") {
		t.Errorf("started on a read-only disk: %v: %s", err, out)
	}
	if n := len(c.Host.Find(func(command string) bool { return strings.HasPrefix(command, "/demo") })); n != 3 {
		t.Errorf("%d containers run on a read-only disk", n)
	}
	c.Host.MustRun(t.Context(), "mount", "-o", "remount,bind,rw", c.Data)
	c.Start()
	if after := c.Containers(); after != before {
		t.Errorf("containers changed:\n%s\nnow:\n%s", before, after)
	}
}

// snapshotOnFullDisk takes a snapshot that there is no room for: it says so, leaves
// nothing and harms nobody, and is taken when there is.
func snapshotOnFullDisk(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	volumes := filepath.Join(c.Data, "volumes")
	source := filepath.Join(volumes, c.Kubectl("get", "pvc", "data-web-0", "-o", "jsonpath={.spec.volumeName}"))
	sh := func(script string) string { return c.Host.MustRun(t.Context(), "sh", "-c", script) } // the disk is the host's alone
	large := filepath.Join(source, "large")
	sh("dd if=/dev/zero bs=1M count=40 of=" + large)
	// What is left is enough for the datastore and too little for the copy.
	other := filepath.Join(c.Data, "other")
	sh("dd if=/dev/zero bs=1M count=$(($(stat -f -c '%a * %S' " + c.Data + ") / 1048576 - 50)) of=" + other)
	c.Apply("apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: {name: large}\nspec: {source: {persistentVolumeClaimName: data-web-0}}\n")
	content := "snapcontent-" + c.Kubectl("get", "vs", "large", "-o", "jsonpath={.metadata.uid}")
	for _, of := range [][]string{{"describe", "vsc", content}, {"get", "vs", "large", "-o", "jsonpath={.status.error.message} {.status.readyToUse}"}} {
		says(t, strings.Join(of, " "), c.Ask(of...), "Failed to create snapshot: failed to take snapshot of the volume full/"+filepath.Base(source), "large: no space left on device: a copy leaves 25 MiB to all else on the disk")
	}
	says(t, "its event", c.Ask("describe", "vsc", content), "SnapshotCreationFailed")
	same(t, "halves of copies", func() string { return sh("find " + volumes + " -maxdepth 1 -name '*snapshot-*'") }, "")
	sh("rm " + other)
	c.Eventually(5*time.Minute, "true ", c.Ask("get", "vs", "large", "-o", "jsonpath={.status.readyToUse} {.status.error}"))
	sh("cmp " + large + " " + filepath.Join(volumes, "snapshot-"+strings.TrimPrefix(content, "snapcontent-"), "large"))
	c.Kubectl("delete", "vs", "large", "--timeout=150s")
	sh("rm " + large)
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
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	t.Run("snapshot", func(t *testing.T) { snapshotOnFullDisk(t, c) })
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
	c.Gone(60 * time.Second)
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
	c.Kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "statefulset/web", "--timeout=150s")
	readOnly(t, c)
	c.Kubectl("delete", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
}
