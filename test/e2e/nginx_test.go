package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// The main job on real input: the nginx StatefulSet of the Kubernetes
// documentation, from creation through deletion, scaling and a crash of berth.
func TestNginxKeepsItsBerth(t *testing.T) {
	c := cluster.New(t, "nginx").Start()
	c.Import(nginxImage(t))
	example := filepath.Join(repo(t), "examples/nginx")
	c.Kubectl("apply", "-f", filepath.Join(example, "storageclass.yaml"), "-f", filepath.Join(example, "nginx.yaml"))
	// The example asks for 10 s of minReadySeconds per pod; once seen is enough.
	c.Eventually(60*time.Second, "web-0 web-1", func() string { return names(c) })
	requireOrder(t, c, "web-0", "web-1")
	c.Kubectl("patch", "statefulset", "web", "-p", `{"spec":{"minReadySeconds":0}}`)
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	requireOrder(t, c, "web-0", "web-1", "web-2")

	for i := range 3 {
		pod := fmt.Sprintf("web-%d", i)
		if got := c.Kubectl("exec", pod, "--", "hostname"); got != pod {
			t.Errorf("hostname of %s is %q", pod, got)
		}
		c.Kubectl("exec", pod, "--", "sh", "-c", "echo page of $(hostname) > /usr/share/nginx/html/index.html")
		claim := c.Kubectl("get", "pvc", "www-"+pod, "-o", "jsonpath={.status.phase} {.status.capacity.storage} {.spec.storageClassName}")
		if claim != "Bound 1Gi my-storage-class" {
			t.Errorf("claim of %s: %s", pod, claim)
		}
	}

	t.Run("pages by DNS name", func(t *testing.T) {
		for i := range 3 {
			for _, name := range []string{"web-%d.nginx", "web-%d.nginx.default.svc.cluster.local"} {
				url := "http://" + fmt.Sprintf(name, i) + "/"
				if got, want := c.Kubectl("exec", "web-0", "--", "curl", "-s", url), fmt.Sprintf("page of web-%d", i); got != want {
					t.Errorf("%s serves %q, want %q", url, got, want)
				}
			}
		}
	})

	t.Run("a deleted pod comes back the same", func(t *testing.T) {
		before := identity(c, "web-1")
		uid := c.Kubectl("get", "pod", "web-1", "-o", "jsonpath={.metadata.uid}")
		c.Kubectl("delete", "pod", "web-1")
		c.Kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "statefulset/web", "--timeout=150s")
		if after := identity(c, "web-1"); after != before {
			t.Errorf("web-1 was %s and is now %s", before, after)
		}
		if now := c.Kubectl("get", "pod", "web-1", "-o", "jsonpath={.metadata.uid}"); now == uid {
			t.Error("web-1 was not replaced")
		}
		if got := c.Kubectl("exec", "web-0", "--", "curl", "-s", "http://web-1.nginx/"); got != "page of web-1" {
			t.Errorf("the new web-1 serves %q: its file is gone", got)
		}
	})

	t.Run("scaling keeps the order and the claims", func(t *testing.T) {
		c.Kubectl("scale", "statefulset", "web", "--replicas=5")
		c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
		requireOrder(t, c, "web-2", "web-3", "web-4") // web-1 is younger: it was replaced
		c.Kubectl("scale", "statefulset", "web", "--replicas=2")
		c.Eventually(60*time.Second, "web-0 web-1", func() string { return names(c) })
		// The controller's events tell in which order it deleted.
		// They are written when there is time.
		c.Eventually(60*time.Second, "web-4 web-3 web-2", func() string {
			return strings.Join(deleteOrder(c.Kubectl("get", "events", "--field-selector", "reason=SuccessfulDelete", "--sort-by=.metadata.creationTimestamp", "-o", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)), " ")
		})
		claims := c.Kubectl("get", "pvc", "-o", "jsonpath={.items[*].metadata.name}")
		if claims != "www-web-0 www-web-1 www-web-2 www-web-3 www-web-4" {
			t.Errorf("claims after scaling down: %s", claims)
		}
	})

	t.Run("kill -9 of berth disturbs nothing", func(t *testing.T) {
		before := c.Containers()
		c.Signal("KILL")
		c.Start()
		if after := c.Containers(); after != before {
			t.Errorf("containers changed over kill -9:\n%s\nnow:\n%s", before, after)
		}
		if got := c.Kubectl("exec", "web-0", "--", "curl", "-s", "http://web-1.nginx/"); got != "page of web-1" {
			t.Errorf("after the restart web-1 serves %q", got)
		}
	})

	t.Run("delete all", func(t *testing.T) {
		c.Kubectl("delete", "-f", filepath.Join(example, "nginx.yaml"))
		c.Kubectl("delete", "pvc", "--all")
		c.Eventually(60*time.Second, "", func() string {
			out, _ := c.Try("get", "pods,statefulsets,controllerrevisions,pvc,pv,spiderendpoints", "-A", "-o", "name")
			if strings.HasPrefix(out, "No resources found") {
				return ""
			}
			return strings.TrimSpace(out)
		})
		// The node clears away when the API no longer has the pod.
		c.Eventually(60*time.Second, "", func() string {
			return c.Host.MustRun(t.Context(), "sh", "-c", "ls "+c.Data+"/volumes 2>/dev/null; ls "+c.Data+"/kubelet/pods 2>/dev/null; ls "+c.Data+"/log/pods 2>/dev/null")
		})
		c.Eventually(60*time.Second, "", func() string {
			running := slices.DeleteFunc(c.Host.Processes(), func(p string) bool {
				return !strings.HasPrefix(p, "nginx") && !strings.Contains(p, "containerd-shim") && !strings.HasPrefix(p, "/pause")
			})
			return strings.Join(running, "\n")
		})
		if left := c.Host.MustRun(t.Context(), "sh", "-c", "grep -E 'overlay|netns|kubernetes.io' /proc/mounts | grep "+c.Data+" || true"); left != "" {
			t.Errorf("left mounted:\n%s", left)
		}
	})
}

// names lists the pods of the set.
func names(c *cluster.Cluster) string {
	return c.Kubectl("get", "pods", "-l", "app=nginx", "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].metadata.name}")
}

// identity is what a pod keeps: name, claim, volume and address.
func identity(c *cluster.Cluster, pod string) string {
	return c.Kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.name} {.status.podIP} {.spec.volumes[0].persistentVolumeClaim.claimName}") +
		" " + c.Kubectl("get", "pvc", "www-"+pod, "-o", "jsonpath={.spec.volumeName}")
}

// requireOrder checks that each pod was created only after the one before it
// was Ready.
func requireOrder(t *testing.T, c *cluster.Cluster, pods ...string) {
	t.Helper()
	ready := time.Time{}
	for _, pod := range pods {
		text := c.Kubectl("get", "pod", pod, "-o", `jsonpath={.metadata.creationTimestamp} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}`)
		created, became, _ := strings.Cut(text, " ")
		at, err := time.Parse(time.RFC3339, created)
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(ready) {
			t.Errorf("%s was created at %s, before the pod below it was Ready at %s", pod, at, ready)
		}
		if ready, err = time.Parse(time.RFC3339, became); err != nil {
			t.Fatalf("%s is not Ready: %v", pod, err)
		}
	}
}

// deleteOrder reads pod names from the controller's delete events. Events of
// one second are ordered by the order in which they were written.
func deleteOrder(messages string) []string {
	var pods []string
	for line := range strings.Lines(messages) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "web-") {
				pods = append(pods, word)
			}
		}
	}
	return pods
}
