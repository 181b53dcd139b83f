package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// blocks is a pod on a raw device of the built-in provisioner. Each start of its
// container counts up what is on the device.
type blocks struct {
	t      *testing.T
	c      *cluster.Cluster
	starts int
}

func newBlocks(t *testing.T, c *cluster.Cluster) *blocks {
	t.Helper()
	c.Import(nginxImage(t))
	b := &blocks{t, c.In(t, "blocks"), 1}
	count := `n=$(head -c 8 /dev/blocks | tr -d '\0 '); printf '%-8s' $((n+1)) | dd of=/dev/blocks conv=notrunc,fsync status=none; `
	b.c.Apply(`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: raw}
spec: {resources: {requests: {storage: 5Mi}}, accessModes: [ReadWriteOnce], volumeMode: Block}
---` + shell("raw", count+forever, `      volumeDevices: [{name: raw, devicePath: /dev/blocks}]
  volumes: [{name: raw, persistentVolumeClaim: {claimName: raw}}]
`))
	b.check("at first")
	return b
}

// check looks at what is on the device, and that there is one.
func (b *blocks) check(when string) {
	b.t.Helper()
	b.c.Eventually(90*time.Second, fmt.Sprintf("%d starts, restarted %d times, 1 devices", b.starts, b.starts-1), func() string {
		said, _ := b.c.Try("exec", "raw", "--", "head", "-c", "8", "/dev/blocks")
		restarts, _ := b.c.Try("get", "pod", "raw", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
		return fmt.Sprintf("%s starts, restarted %s times, %d devices", strings.TrimSpace(said), restarts, len(b.devices()))
	})
	b.t.Logf("%s: the device counts %d starts", when, b.starts)
}

// devices are the block devices that show files of the cluster's data directory.
func (b *blocks) devices() (devices []string) {
	b.t.Helper()
	shown, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is good
	for _, name := range shown {
		if text, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(text), b.c.Data+"/") {
			devices = append(devices, strings.Split(name, "/")[3])
		}
	}
	return devices
}

// survives looks at the device over what ends berth alone, and over what ends
// everything but the disk.
func (b *blocks) survives(c *cluster.Cluster) {
	b.t.Helper()
	before := strings.Join(b.devices(), " ")
	c.Kill()
	c.Start()
	b.check("berth killed")
	if now := strings.Join(b.devices(), " "); now != before {
		b.t.Errorf("the device was %s and is %s", before, now)
	}
	c.Host.MustRun(b.t.Context(), c.Berth(), "down", "--data-dir", c.Data)
	if left := b.devices(); len(left) != 0 {
		b.t.Errorf("down left %s", left)
	}
	c.Start()
	b.starts++
	b.check("taken down and started")
	volume := b.c.Kubectl("get", "pvc", "raw", "-o", "jsonpath={.spec.volumeName}")
	b.c.Kubectl("delete", "pod", "raw", "--now", "--timeout=150s")
	b.c.Eventually(60*time.Second, "0", func() string { return strconv.Itoa(len(b.devices())) })
	b.c.Kubectl("delete", "pvc", "raw", "--timeout=150s")
	b.c.Eventually(60*time.Second, "true", func() string {
		_, err := os.Stat(filepath.Join(c.Data, "volumes", volume))
		return strconv.FormatBool(os.IsNotExist(err))
	})
}
