package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What a volume had at one moment comes back in another, as a folder and as a
// device; what was kept is found again by its handle; what is deleted is gone
// from the disk.
func volumeSnapshots(t *testing.T, c *cluster.Cluster) {
	user := func(name, data, blocks string) string {
		return "---" + shell(name, forever, `      volumeMounts: [{name: data, mountPath: /data}]
      volumeDevices: [{name: blocks, devicePath: /dev/blocks}]
  volumes:
    - {name: data, persistentVolumeClaim: {claimName: `+data+`}}
    - {name: blocks, persistentVolumeClaim: {claimName: `+blocks+`}}
`)
	}
	snapshot := func(name, more string) string {
		return `---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: ` + name + `}
spec: {` + more + `}
`
	}
	class := func(name, policy string) string {
		return `---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: ` + name + `}
driver: berth.dev/local
deletionPolicy: ` + policy + `
`
	}
	sh := func(pod, script string) string { return c.Kubectl("exec", pod, "--", "sh", "-c", script) }
	folder := func(name string) string {
		return filepath.Join(c.Data, "volumes", "snapshot-"+c.Kubectl("get", "vs", name, "-o", "jsonpath={.metadata.uid}"))
	}
	gone := func(path string) {
		t.Helper()
		c.Eventually(2*time.Minute, "gone", func() string {
			if _, err := os.Lstat(path); os.IsNotExist(err) {
				return "gone"
			}
			return path + " is there"
		})
	}
	ready := func(name, want string) {
		t.Helper()
		same(t, name, c.Ask("get", "vs", name, "-o", "jsonpath={.status.readyToUse} {.status.restoreSize} {.spec.volumeSnapshotClassName} {.status.error}"), want)
	}

	c.Apply(class("snapshots-kept", "Retain") +
		claimOf("data", "5Mi", "") + claimOf("blocks", "5Mi", ", volumeMode: Block") + user("first", "data", "blocks"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/first", "--timeout=150s")
	sh("first", "mkdir /data/deep; echo old > /data/deep/f; printf old- | dd of=/dev/blocks conv=notrunc status=none; sync /dev/blocks")
	c.Apply(snapshot("of-data", "source: {persistentVolumeClaimName: data}") + snapshot("of-blocks", "volumeSnapshotClassName: snapshots-kept, source: {persistentVolumeClaimName: blocks}"))
	ready("of-data", "true 5Mi local ")
	ready("of-blocks", "true 5Mi snapshots-kept ")
	says(t, "its events", c.Ask("describe", "vs", "of-data"), "CreatingSnapshot", "Waiting for a snapshot snapshots/of-data to be created by the CSI driver.",
		"SnapshotCreated", "SnapshotReady", "Snapshot snapshots/of-data is ready to use.")
	says(t, "its columns", c.Ask("get", "volumesnapshots"), "READYTOUSE", "SOURCEPVC", "SOURCESNAPSHOTCONTENT", "RESTORESIZE", "SNAPSHOTCLASS", "SNAPSHOTCONTENT", "CREATIONTIME")
	same(t, "the claim is not held any more", c.Ask("get", "pvc", "data", "-o", "jsonpath={.metadata.finalizers}"), `["kubernetes.io/pvc-protection"]`)
	says(t, "two sources", c.Refused("create", "-f", c.File("two.yaml", snapshot("two", "source: {persistentVolumeClaimName: data, volumeSnapshotContentName: x}"))),
		"exactly one of volumeSnapshotContentName and persistentVolumeClaimName must be set")

	sh("first", "echo new > /data/deep/f; echo more > /data/g; printf new- | dd of=/dev/blocks conv=notrunc status=none; sync /dev/blocks")
	from := func(name string) string {
		return ", dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: " + name + "}"
	}
	c.Apply(claimOf("too-small", "1Mi", from("of-data")) + claimOf("data-again", "5Mi", from("of-data")) + claimOf("blocks-again", "8Mi", ", volumeMode: Block"+from("of-blocks")) +
		user("second", "data-again", "blocks-again"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/second", "--timeout=240s")
	same(t, "what was restored", func() string {
		return sh("second", "cat /data/deep/f; ls /data; head -c 4 /dev/blocks; wc -c < /dev/blocks")
	}, "old\ndeep\nold-8388608")
	same(t, "what goes on", func() string { return sh("first", "cat /data/deep/f; head -c 4 /dev/blocks") }, "new\nnew-")
	says(t, "one that is too small", c.Ask("describe", "pvc", "too-small"), "ProvisioningFailed", `failed to provision volume with StorageClass "local": `+
		"error getting handle for DataSource Type VolumeSnapshot by Name of-data: requested volume size 1048576 is less than the size 5242880 for the source snapshot of-data")

	// A snapshot waits for the claim that it is to be restored to.
	files, kept := folder("of-data"), folder("of-blocks")
	handle := c.Kubectl("get", "vsc", "snapcontent-"+strings.TrimPrefix(filepath.Base(kept), "snapshot-"), "-o", "jsonpath={.status.snapshotHandle}")
	same(t, "the handle", func() string { return handle }, "shared/"+filepath.Base(kept))
	c.Kubectl("delete", "vs", "of-data", "--wait=false")
	says(t, "to be restored yet", c.Ask("describe", "vs", "of-data"), "SnapshotDeletePending", "Snapshot is being used to restore a PVC")
	c.Kubectl("delete", "pvc", "too-small", "--timeout=150s")
	c.Kubectl("wait", "--for=delete", "vs/of-data", "--timeout=150s")
	gone(files)

	// What is retained is found again by its handle, in another namespace, and goes with that.
	c.Kubectl("delete", "vs", "of-blocks", "--timeout=150s")
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("what was to be retained: %v", err)
	}
	c.Apply(`
apiVersion: v1
kind: Namespace
metadata: {name: snapshots-else}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotContent
metadata: {name: snapshots-imported}
spec: {driver: berth.dev/local, deletionPolicy: Delete, sourceVolumeMode: Block, source: {snapshotHandle: ` + handle + `}, volumeSnapshotRef: {namespace: snapshots-else, name: imported}}
`)
	elsewhere := func(args ...string) func() string { return c.Ask(append([]string{"-n", "snapshots-else"}, args...)...) }
	c.Apply(snapshot("imported", "source: {volumeSnapshotContentName: snapshots-imported}")+claimOf("blocks-once-more", "5Mi", ", volumeMode: Block"+from("imported")), "-n", "snapshots-else")
	same(t, "imported", elsewhere("get", "vs", "imported", "-o", "jsonpath={.status.readyToUse} {.status.restoreSize} {.status.boundVolumeSnapshotContentName} {.status.error}"), "true 5Mi snapshots-imported ")
	same(t, "restored from it", elsewhere("get", "pvc", "blocks-once-more", "-o", "jsonpath={.status.phase}"), "Bound")
	c.Kubectl("delete", "namespace", "snapshots-else", "--timeout=150s")
	gone(kept)
	same(t, "its content", c.Ask("get", "vsc", "snapshots-imported", "--ignore-not-found"), "")
	c.Kubectl("delete", "pods", "--all", "--now")
	c.Kubectl("delete", "pvc", "--all", "--timeout=150s")
	c.Kubectl("delete", "vsc", "snapcontent-"+strings.TrimPrefix(filepath.Base(kept), "snapshot-"), "--timeout=150s")
	c.Kubectl("delete", "vsclass", "snapshots-kept")
}
