package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/hungfs"
)

// farVolume is a claim for a folder of the node on which another machine's files
// are mounted.
func farVolume(path string) string {
	return `
apiVersion: v1
kind: PersistentVolume
metadata: {name: far}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: by-hand
  claimRef: {namespace: default, name: far}
  local: {path: ` + path + `}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: far}
spec: {resources: {requests: {storage: 1Gi}}, accessModes: [ReadWriteMany], storageClassName: by-hand, volumeName: far}
`
}

// The server of a file system falls silent while containers read from it: they
// hang where no signal reaches them. Nobody else notices, neither pods nor what
// looks at all of the node; the two that hang cannot end, until it answers again.
func serverThatFallsSilent(t *testing.T, c *cluster.Cluster) {
	c.Import(nginxImage(t))
	fs, err := hungfs.New()
	if err != nil {
		t.Fatal(err)
	}
	far := c.Path("far")
	if err := os.MkdirAll(far, 0o755); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := fs.Serve(); err != nil {
			t.Error(err)
		}
	}()
	mount := c.Host.Command(t.Context(), "mount", "-i", "-t", "fuse", "-o", "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other", "far", far)
	mount.ExtraFiles = []*os.File{fs.File()}
	if out, err := mount.CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	t.Cleanup(func() {
		if err := fs.Thaw(); err != nil { // or nothing of the host could end
			t.Error(err)
		}
	})

	const reads = `trap 'exit 0' TERM; exec 3</far/file; read -r x <&3; echo "$x"; while :; do read -r x <&3; sleep 0.1; done`
	volume := "      volumeMounts: [{name: far, mountPath: /far}]\n  volumes: [{name: far, persistentVolumeClaim: {claimName: far}}]\n"
	c.Apply(farVolume(far) + "---" + shell("asked", reads, volume) + "---" + shell("forced", reads, volume) + "---" + shell("beside", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/asked", "pod/forced", "pod/beside", "--timeout=150s")
	for _, pod := range []string{"asked", "forced"} {
		says(t, pod, c.Ask("logs", pod), strings.TrimSpace(hungfs.Content))
	}
	uids := strings.Fields(c.Kubectl("get", "pod", "asked", "forced", "-o", "jsonpath={.items[*].metadata.uid}"))

	fs.Hang()
	c.Eventually(60*time.Second, "true", func() string { return fmt.Sprint(fs.Reading() >= 2) })
	stuck := func() string { // where no signal reaches
		return lines(c, `grep -l 'exec 3</far/file' /proc/[0-9]*/cmdline 2>/dev/null | while read -r f; do grep '^State:' "${f%cmdline}status" 2>/dev/null; done | grep -c 'D (disk sleep)'`)
	}
	c.Kubectl("delete", "pod", "asked", "--wait=false")
	c.Kubectl("delete", "pod", "forced", "--grace-period=0", "--force", "--timeout=60s")

	// The others: what runs, what begins and ends, what is measured.
	same(t, "exec into a neighbour", c.Ask("exec", "beside", "--", "echo", "here"), "here")
	c.Apply(shell("later", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/later", "--timeout=150s")
	says(t, "figures", c.Ask("get", "--raw", "/api/v1/nodes/fault/proxy/stats/summary"), `"name":"later"`, `"name":"beside"`)
	says(t, "metrics", c.Ask("get", "--raw", "/api/v1/nodes/fault/proxy/metrics"), "kubelet_running_pods ")
	c.Kubectl("delete", "pod", "later", "--timeout=150s")
	same(t, "the node", c.Ask("get", "node", "fault", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`), "True")
	matches(t, "the pod that was asked to end", c.Ask("get", "pod", "asked", "--no-headers"), `asked +[01]/1 +Terminating +0 +.*`)
	same(t, "the pod that was deleted by force", c.Refused("get", "pod", "forced"), `Error from server (NotFound): pods "forced" not found`)
	same(t, "what hangs", stuck, "2")

	if err := fs.Thaw(); err != nil {
		t.Fatal(err)
	}
	c.Kubectl("wait", "--for=delete", "pod/asked", "--timeout=150s")
	for _, uid := range uids {
		for what, command := range map[string]string{
			"cgroups": "find /sys/fs/cgroup -name 'pod" + uid + "' 2>/dev/null",
			"folders": "ls -d " + c.Data + "/kubelet/pods/" + uid + " " + c.Data + "/kubelet/containers/" + uid + " 2>/dev/null",
			"mounts":  "grep " + uid + " /proc/mounts",
			"logs":    "ls -d " + c.Data + "/log/pods/*" + uid + " 2>/dev/null",
		} {
			c.Eventually(60*time.Second, what+": ", func() string { return what + ": " + lines(c, command) })
		}
	}
	matches(t, "row", c.Ask("get", "pod", "beside", "--no-headers"), "beside +1/1 +Running +0 +.*")
	c.Kubectl("delete", "pod", "beside", "--timeout=150s")
	c.Kubectl("delete", "pvc/far", "pv/far")
	c.Host.MustRun(context.WithoutCancel(t.Context()), "umount", far)
	select {
	case <-fs.Ended():
	case <-time.After(time.Minute):
		t.Error("something still has the file system mounted")
	}
}
