package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Where the file system can, a claim's folder holds what the claim says and no
// more: it grows with the claim, and so does a copy of it.
func TestSizeLimits(t *testing.T) {
	c := cluster.New(t, "limits")
	volumes, disk := filepath.Join(c.Data, "volumes"), filepath.Join(c.Host.Dir, "btrfs")
	for _, words := range [][]string{
		{"mkdir", "-p", volumes},
		{"truncate", "-s", "1G", disk},
		{"mkfs.btrfs", "-q", disk},
		{"mount", "-o", "loop", disk, volumes},
		{"btrfs", "quota", "enable", volumes},
	} {
		c.Host.MustRun(t.Context(), words[0], words[1:]...)
	}
	c.Start()
	c.Import(nginxImage(t))
	const user = `      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: `
	c.Apply(`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: small}
spec: {resources: {requests: {storage: 32Mi}}, accessModes: [ReadWriteOnce]}
---` + shell("writer", forever, user+"small}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=150s")
	held := func(claim string) func() string {
		return func() string {
			return c.Ask("get", "pv", c.Kubectl("get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"), "-o", `jsonpath={.metadata.annotations.berth\.dev/size-limit}`)()
		}
	}
	c.Eventually(60*time.Second, "held", held("small"))
	write := func(pod, file string) string {
		return c.Kubectl("exec", pod, "--", "sh", "-c", `case "$(dd if=/dev/urandom of=/data/`+file+` bs=1M count=48 conv=fsync 2>&1)" in *"quota exceeded"*) echo no;; *"48+0 records out"*) echo yes;; esac`)
	}
	if got := write("writer", "first"); got != "no" {
		t.Errorf("48 MiB in a claim of 32Mi: %q", got)
	}
	c.Kubectl("exec", "writer", "--", "rm", "/data/first")
	c.Kubectl("patch", "pvc", "small", "-p", `{"spec": {"resources": {"requests": {"storage": "230Mi"}}}}`)
	c.Eventually(60*time.Second, "230Mi", c.Ask("get", "pvc", "small", "-o", "jsonpath={.status.capacity.storage}"))
	if got := write("writer", "second"); got != "yes" {
		t.Errorf("48 MiB in a claim of 230Mi: %q", got)
	}

	c.Apply(`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: copy}
spec: {resources: {requests: {storage: 230Mi}}, accessModes: [ReadWriteOnce], dataSource: {kind: PersistentVolumeClaim, name: small}}
---` + shell("reader", forever, user+"copy}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=150s")
	sum := func(pod string) string { return c.Kubectl("exec", pod, "--", "sha256sum", "/data/second") }
	same(t, "the copy", func() string { return sum("reader") }, sum("writer"))
	c.Eventually(60*time.Second, "held", held("copy"))
	got := ""
	for _, file := range []string{"a", "b", "c", "d"} { // of which three can be held beside the first
		got += write("reader", file) + " "
	}
	if got != "yes yes yes no " {
		t.Errorf("five times 48 MiB in a copy of 230Mi: %s", got)
	}
	c.Kubectl("delete", "pod", "writer", "reader", "--now")
	c.Kubectl("delete", "pvc", "small", "copy")
	c.Eventually(90*time.Second, "", func() string { return strings.TrimSpace(c.Host.MustRun(t.Context(), "ls", "-A", volumes)) })
}
