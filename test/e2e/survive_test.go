package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"berth.dev/berth/test/e2e/cluster"
)

// Containers that behave badly, side by side: one that does not want to end and
// leaves children behind, one that eats all its memory, one that writes logs
// without end. Each gets what it deserves, nobody else notices.
func badNeighbours(t *testing.T, c *cluster.Cluster) {
	c.Apply(shell("good", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/good", "--timeout=150s")
	c.Apply(strings.Join([]string{
		// Its children outlive their parents, some as zombies that nobody reaps.
		shell("stubborn", `trap "" TERM INT HUP; for i in $(seq 20); do (sleep 987654 & exec sleep 0.01 &) ; done; while :; do (trap "" TERM; exec sleep 1) & wait $!; done`, ""),
		shell("eats", `mkfifo /tmp/f; head -c 200000000 /dev/zero > /tmp/f & exec tail /tmp/f`, "      resources: {limits: {memory: 48Mi}}\n  restartPolicy: Never\n"),
		shell("eats-again", `sleep 0.3; mkfifo /tmp/f; head -c 200000000 /dev/zero > /tmp/f & exec tail /tmp/f`, "      resources: {limits: {memory: 48Mi}}\n"),
		// A gigabyte, as fast as it can. It goes on talking, as its log is begun anew now and then.
		shell("talks", `yes "$(head -c 15000 /dev/zero | tr '\0' x)" | head -c 1000000000; echo; trap 'exit 0' TERM; while :; do echo done; sleep 0.1; done`, ""),
	}, "---"))
	state := func(pod, path string) func() string {
		return func() string {
			return c.Kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0]."+path+".terminated['reason','exitCode']}")
		}
	}
	c.Eventually(60*time.Second, "OOMKilled 137", state("eats", "state"))
	same(t, "phase of what was killed", c.Ask("get", "pod", "eats", "-o", "jsonpath={.status.phase}"), "Failed")
	matches(t, "row", c.Ask("get", "pod", "eats", "--no-headers"), "eats +0/1 +OOMKilled +0 +.*")
	c.Eventually(60*time.Second, "OOMKilled 137", state("eats-again", "lastState"))
	says(t, "describe", c.Ask("describe", "pod", "eats-again"), "Last State:", "OOMKilled", "Exit Code:    137")

	c.Eventually(150*time.Second, "done", func() string {
		out, _ := c.Try("logs", "talks", "--tail=1")
		return strings.TrimSpace(out)
	})
	// Of all that it wrote only the end is on the disk, the older part of it compressed.
	folder := c.Data + "/log/pods/neighbours_talks_*/c"
	c.Eventually(60*time.Second, "true", func() string {
		size, err := strconv.Atoi(lines(c, "du -sk "+folder+" | cut -f1"))
		return fmt.Sprint(err == nil && size < 500_000)
	})
	c.Eventually(60*time.Second, "5 files, 3 of them compressed", func() string {
		return fmt.Sprintf("%s files, %s of them compressed", lines(c, "ls "+folder+" | wc -l"), lines(c, "ls "+folder+" | grep -c '[.]gz$'"))
	})

	c.Kubectl("wait", "--for=condition=Ready", "pod/stubborn", "--timeout=150s")
	uid := c.Kubectl("get", "pod", "stubborn", "-o", "jsonpath={.metadata.uid}")
	c.Kubectl("delete", "pod", "stubborn", "talks", "eats", "eats-again", "--timeout=150s")
	for what, command := range map[string]string{
		"processes": "grep -l '98765[4]' /proc/[0-9]*/cmdline 2>/dev/null",
		"cgroups":   "find /sys/fs/cgroup -name 'pod" + uid + "' 2>/dev/null",
		"logs":      "ls -d " + c.Data + "/log/pods/neighbours_talks_* /var/log/containers/talks_neighbours_* 2>/dev/null",
	} {
		c.Eventually(60*time.Second, what+": ", func() string { return what + ": " + lines(c, command) })
	}
	matches(t, "row", c.Ask("get", "pod", "good", "--no-headers"), "good +1/1 +Running +0 +.*")
	c.Kubectl("delete", "pod", "good", "--timeout=150s")
}

// stuckMount puts a helper into a folder for programs that never returns.
func stuckMount(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	bin := filepath.Join(c.Host.Dir, "stuck")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "mount.nfs"), []byte("#!/bin/sh\nexec sleep 876543\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// A volume whose server does not answer holds up its own pod, nobody else's,
// and not the end of that pod either.
func serverThatDoesNotAnswer(t *testing.T, c *cluster.Cluster, client kubernetes.Interface) {
	pod := func(name string, volumes ...corev1.Volume) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To(int64(1)), Volumes: volumes,
			Containers: []corev1.Container{{Name: "c", Image: "berth.dev/demo:1", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
		}}
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		return p
	}
	far := pod("stuck", corev1.Volume{Name: "far", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "files.example", Path: "/srv"}}})
	far.Spec.Containers[0].VolumeMounts = append(far.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "far", MountPath: "/far"})
	hung := func() string {
		return fmt.Sprint(len(c.Host.Find(func(command string) bool { return strings.Contains(command, "sleep 876543") })))
	}
	for _, p := range []*corev1.Pod{far, pod("beside")} {
		if _, err := client.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.Eventually(60*time.Second, "1", hung)
	c.Kubectl("wait", "--for=condition=Ready", "pod/beside", "--timeout=150s")
	matches(t, "row", c.Ask("get", "pod", "stuck", "--no-headers"), "stuck +0/1 +ContainerCreating +0 +.*")
	c.Kubectl("delete", "pod", "stuck", "beside", "--timeout=150s")
	c.Eventually(60*time.Second, "0", hung)
}

// A hundred pods are created and, as soon as the first of them run, all are
// deleted by force. What is left of them is for leftovers to find.
func createdAndDeletedByForce(t *testing.T, c *cluster.Cluster, client kubernetes.Interface) {
	const many = 100
	pods := client.CoreV1().Pods("default")
	for i := range many {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("m%d", i), Labels: map[string]string{"app": "many"}}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "berth.dev/demo:1", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
			Volumes:    []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		}}
		if _, err := pods.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.Eventually(60*time.Second, "true", func() string {
		list, err := pods.List(context.WithoutCancel(t.Context()), metav1.ListOptions{LabelSelector: "app=many", FieldSelector: "status.phase=Running"})
		return fmt.Sprint(err == nil && len(list.Items) >= 5)
	})
	if err := pods.DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}, metav1.ListOptions{LabelSelector: "app=many"}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.Eventually(120*time.Second, "", func() string {
		left := c.Host.Find(func(command string) bool {
			return strings.HasPrefix(command, "/demo") || strings.HasPrefix(command, "/pause")
		})
		if len(left) > 3*2 { // the set's own
			return fmt.Sprintf("%d processes", len(left))
		}
		return ""
	})
	t.Logf("all gone %s after their deletion", time.Since(began).Round(time.Millisecond))
}
