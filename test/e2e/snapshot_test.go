package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// A snapshot is taken of a running server. Restored beside running containers it
// takes them over, and what came later is gone; restored when the whole data
// directory was destroyed it makes the pods again, with their names, addresses
// and claims. Anything wrong with it is said before anything is changed. Copies go
// to a bucket too: a store that refuses them holds up nothing, and the whole data
// directory comes back from there.
func TestSnapshot(t *testing.T) {
	h := host.New(t, "snap")
	bucket := newBucket(t, h)
	c := cluster.On(t, h, cluster.Bin(t), "--config", bucket.config).Start()
	c.Kubectl("apply", "-f", repo(t)+"/examples/demo/web.yaml")
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=180s")
	berth := func(args ...string) (string, error) {
		return c.Host.Run(t.Context(), c.Berth(), append(args, "--data-dir", c.Data)...)
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := berth(args...)
		if err != nil {
			t.Fatalf("berth %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	refused := func(says string, args ...string) {
		t.Helper()
		if out, err := berth(args...); err == nil || !strings.Contains(out, says) {
			t.Errorf("berth %s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, says)
		}
	}
	pods := func() []corev1.Pod {
		t.Helper()
		list, err := c.Client().CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	// As before, restarted so often.
	back := func(before []corev1.Pod, restarts int32) {
		t.Helper()
		c.Eventually(180*time.Second, "", func() string {
			after := pods()
			if len(after) != len(before) {
				return "not all pods are there"
			}
			for i, p := range after {
				b := before[i]
				switch {
				case p.Name != b.Name || p.UID != b.UID || p.Status.PodIP != b.Status.PodIP:
					t.Fatalf("%s %s %s, before %s %s %s", p.Name, p.UID, p.Status.PodIP, b.Name, b.UID, b.Status.PodIP)
				case !ready(&p) || p.Status.ContainerStatuses[0].RestartCount != restarts:
					return p.Name + " does not run as it did"
				case restarts == 0 && p.Status.ContainerStatuses[0].ContainerID != b.Status.ContainerStatuses[0].ContainerID:
					return p.Name + " is another container"
				}
			}
			return ""
		})
	}

	w := watch(t, c)
	before := pods()
	visited := func(when string) { // the counters on the disks go on
		t.Helper()
		if n := w.visit(before); n != 3 {
			t.Errorf("%d pods answer %s", n, when)
		}
	}
	visited("at first")
	token := c.ServerToken()
	file := filepath.Join(c.Host.Dir, "monday.db")
	says(t, "save", c.Host.MustRun(t.Context(), c.Berth(), "snapshot", "save", file, "--data-dir", c.Data), file+": revision ")
	must("snapshot", "save")
	says(t, "ls", must("snapshot", "ls"), "saved-")
	copied := bucket.story(t, c, must, refused)
	c.Kubectl("create", "configmap", "later")
	c.Kubectl("create", "deployment", "later", "--image=berth.dev/demo:1")
	c.Kubectl("rollout", "status", "deployment/later", "--timeout=180s")
	refused("is in use by berth", "snapshot", "restore", file)
	c.Signal("TERM")
	must("snapshot", "save", filepath.Join(c.Host.Dir, "stopped.db"))

	etcd := filepath.Join(c.Data, "etcd")
	refused("holds a cluster; move it away first", "snapshot", "restore", file)
	if err := os.Rename(etcd, etcd+".before"); err != nil {
		t.Fatal(err)
	}
	wrong := c.File("wrong.token", "0123456789abcdef0123456789abcdef")
	refused("this token does not open the cluster's keys", "snapshot", "restore", file, "--token-file", wrong)
	refused("no such file", "snapshot", "restore", file+".none")
	if left, err := filepath.Glob(etcd + "*"); err != nil || len(left) != 1 {
		t.Errorf("after what was refused there are %v %v", left, err)
	}
	must("snapshot", "restore", file)
	c.Start()
	back(before, 0)
	visited("after the restore")
	for _, gone := range []string{"configmap/later", "deployment/later"} {
		says(t, "what came later", c.Refused("get", gone), "NotFound")
	}
	c.Eventually(180*time.Second, "", func() string {
		left, _ := filepath.Glob(filepath.Join(c.Data, "log", "pods", "*_later-*")) // the pattern is good
		return strings.Join(left, " ")
	})

	// The data directory is lost under its pods; the volumes come from elsewhere.
	c.Signal("KILL")
	volumes := filepath.Join(c.Host.Dir, "volumes")
	if err := os.Rename(filepath.Join(c.Data, "volumes"), volumes); err != nil {
		t.Fatal(err)
	}
	// What is mounted cannot be removed, and is not to be.
	_, _ = c.Host.Run(t.Context(), "rm", "-rf", "--one-file-system", c.Data)
	refused("the keys in it are sealed; give the token", "snapshot", "restore", file)
	refused("is damaged: its SHA-256 is not what it was", "snapshot", "restore", bucket.damaged, "--token-file", token, "--config", bucket.config)
	refused("is not there", "snapshot", "restore", copied+".none", "--token-file", token, "--config", bucket.config)
	must("snapshot", "restore", copied, "--token-file", token, "--config", bucket.config)
	if left, err := filepath.Glob(etcd + "*"); err != nil || len(left) != 1 {
		t.Errorf("the restore has left %v %v", left, err)
	}
	if err := os.Remove(filepath.Join(c.Data, "volumes")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(volumes, filepath.Join(c.Data, "volumes")); err != nil {
		t.Fatal(err)
	}
	c.Start()
	back(before, 1)
	visited("after the loss of the data directory")
	bucket.kept(t, copied)
	// Nobody has a pod's name and address beside the pod.
	c.Eventually(60*time.Second, "3", func() string {
		return strconv.Itoa(len(c.Host.Find(func(command string) bool { return command == "/demo" })))
	})
	for _, p := range w.problems {
		t.Error(p)
	}
}
