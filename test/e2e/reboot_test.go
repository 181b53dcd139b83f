package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/test/e2e/cluster"
)

// The power fails: every process, mount and wire is gone at once. After the
// machine is up, the pods are back with their names, addresses and disks, also
// where the kernel's boot id is the same, as in a container that was restarted.
func TestReboot(t *testing.T) {
	c := cluster.New(t, "boot").Start()
	c.Kubectl("apply", "-f", repo(t)+"/examples/demo/web.yaml")
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	raw := newBlocks(t, c)
	w := watch(t, c)
	client := c.Client()
	pods := func() []corev1.Pod {
		t.Helper()
		list, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	for _, name := range []string{"the same boot id", "another boot id"} {
		t.Run(name, func(t *testing.T) {
			before := pods()
			if n := w.visit(before); n != 3 {
				t.Fatalf("%d pods answer before", n)
			}
			c.Host.Reboot()
			if name == "another boot id" {
				id := filepath.Join(c.Host.Dir, "boot_id")
				if err := os.WriteFile(id, []byte("0b5a1bd2-0a0f-4b43-9f5e-3d6d3d6f3a11\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				c.Host.MustRun(t.Context(), "mount", "--bind", id, "/proc/sys/kernel/random/boot_id")
			}
			began := time.Now()
			c.Start()
			up := time.Since(began)
			restarts := before[0].Status.ContainerStatuses[0].RestartCount + 1
			c.Eventually(60*time.Second, "", func() string {
				for _, p := range pods() {
					if st := p.Status.ContainerStatuses; !ready(&p) || len(st) != 1 || st[0].State.Running == nil || st[0].RestartCount != restarts {
						return p.Name + " does not run again"
					}
				}
				return ""
			})
			t.Logf("node Ready after %s, pods after %s", up.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			after := pods()
			if n := w.visit(after); n != 3 { // counters and addresses go on
				t.Errorf("%d pods answer after", n)
			}
			raw.starts++
			raw.check(name)
			for i := range after {
				if after[i].UID != before[i].UID {
					t.Errorf("%s is another pod", after[i].Name)
				}
			}
		})
	}
	raw.survives(c)
	t.Run("killed while copying", func(t *testing.T) { killedWhileCopying(t, c, c) })
	for _, p := range w.problems {
		t.Error(p)
	}
	(&story{t: t, c: c, w: w, client: client, replicas: 3}).deleteAll()
	leftovers(t, w)
}
