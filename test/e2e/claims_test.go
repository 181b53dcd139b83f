package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// claimOf is a claim of the default class, with more of its spec.
func claimOf(name, size, more string) string {
	return `---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: ` + name + `}
spec: {resources: {requests: {storage: ` + size + `}}, accessModes: [ReadWriteOnce]` + more + `}
`
}

// What becomes of claims after they were made: they grow while pods use them,
// their data is never replaced by nothing, one pod alone has what is for one.
func claimsLive(t *testing.T, c *cluster.Cluster) {
	user := func(name string) string {
		return "---" + shell(name, forever, `      volumeMounts: [{name: data, mountPath: /data}]
      volumeDevices: [{name: blocks, devicePath: /dev/blocks}]
  volumes:
    - {name: data, persistentVolumeClaim: {claimName: data}}
    - {name: blocks, persistentVolumeClaim: {claimName: blocks}}
`)
	}
	c.Apply(claimOf("data", "5Mi", "") + claimOf("blocks", "5Mi", ", volumeMode: Block") + user("first"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/first", "--timeout=150s")
	sh := func(pod, script string) string { return c.Kubectl("exec", pod, "--", "sh", "-c", script) }
	volume := c.Kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
	folder := filepath.Join(c.Data, "volumes", volume)

	t.Run("growth", func(t *testing.T) {
		grow := `{"spec":{"resources":{"requests":{"storage":"9Mi"}}}}`
		for _, name := range []string{"data", "blocks"} {
			c.Kubectl("patch", "pvc", name, "-p", grow)
			same(t, "capacity of "+name, c.Ask("get", "pvc", name, "-o", "jsonpath={.status.capacity.storage} {.status.allocatedResources.storage} {.status.conditions} {.status.allocatedResourceStatuses}"), "9Mi 9Mi")
			of := c.Kubectl("get", "pvc", name, "-o", "jsonpath={.spec.volumeName}")
			same(t, "capacity of its volume", c.Ask("get", "pv", of, "-o", `jsonpath={.spec.capacity.storage} {.metadata.annotations.volume\.alpha\.kubernetes\.io/pre-resize-capacity} {.metadata.annotations.pv\.kubernetes\.io/provisioned-by}`), "9Mi  berth.dev/local")
			says(t, "the claim's events", c.Ask("describe", "pvc", name), "Resizing", "External resizer is resizing volume "+of,
				"FileSystemResizeRequired", "Require file system resize of volume on node",
				"FileSystemResizeSuccessful", `MountVolume.NodeExpandVolume succeeded for volume "`+of+`" shared`)
		}
		same(t, "the device that the pod has", sh("first", "wc -c < /dev/blocks"), "9437184")
		says(t, "smaller again", c.Refused("patch", "pvc", "data", "-p", strings.Replace(grow, "9Mi", "1Mi", 1)),
			"spec.resources.requests.storage: Forbidden: field can not be less than status.capacity")
	})
	t.Run("lost", func(t *testing.T) {
		sh("first", "echo kept > /data/f; printf kept | dd of=/dev/blocks conv=notrunc status=none; sync /dev/blocks")
		c.Kubectl("delete", "pod", "first", "--now")
		away := folder + ".away"
		if err := os.Rename(folder, away); err != nil {
			t.Fatal(err)
		}
		c.Apply(user("second"))
		says(t, "without its folder", c.Ask("describe", "pod", "second"), "FailedMount",
			`MountVolume.NewMounter initialization failed for volume "`+volume+`" : path "`+folder+`" does not exist: this volume has been in use and is not begun anew without its data.`)
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Errorf("an empty folder in the place of data: %v", err)
		}
		if err := os.Rename(away, folder); err != nil {
			t.Fatal(err)
		}
		// The next try may be two minutes off by now.
		c.Kubectl("wait", "--for=condition=Ready", "pod/second", "--timeout=240s")
		same(t, "when it is back", sh("second", "cat /data/f; head -c 4 /dev/blocks"), "kept\nkept")
	})
	t.Run("copies", func(t *testing.T) {
		const of = ", dataSource: {kind: PersistentVolumeClaim, name: "
		c.Apply(claimOf("too-small", "1Mi", of+"data}") + claimOf("copy", "9Mi", of+"data}") + claimOf("larger", "12Mi", ", volumeMode: Block"+of+"blocks}") +
			strings.NewReplacer("claimName: data", "claimName: copy", "claimName: blocks", "claimName: larger").Replace(user("third")))
		c.Kubectl("wait", "--for=condition=Ready", "pod/third", "--timeout=240s")
		same(t, "what the copies have", sh("third", "cat /data/f; head -c 4 /dev/blocks; wc -c < /dev/blocks"), "kept\nkept12582912")
		sh("third", "echo own > /data/f; printf own- | dd of=/dev/blocks conv=notrunc status=none; sync /dev/blocks")
		same(t, "what they were copied from", sh("second", "cat /data/f; head -c 4 /dev/blocks"), "kept\nkept")
		says(t, "its events", c.Ask("describe", "pvc", "copy"), "Provisioning", `External provisioner is provisioning volume for claim "claims/copy"`, "Successfully provisioned volume pvc-")
		says(t, "one that is too small", c.Ask("describe", "pvc", "too-small"), "ProvisioningFailed", `failed to provision volume with StorageClass "local": error getting handle for DataSource Type PersistentVolumeClaim by Name data: `+
			"error, new PVC request must be greater than or equal in size to the specified PVC data source, requested 1048576 but source is 9437184")
		c.Kubectl("delete", "pod", "third", "--now")
	})
	t.Run("one pod", func(t *testing.T) {
		only := func(name string) string {
			return "---" + shell(name, forever, `      volumeMounts: [{name: one, mountPath: /one}]
  nodeName: shared
  volumes: [{name: one, persistentVolumeClaim: {claimName: one}}]
`)
		}
		scheduled := strings.Replace(only("holder"), "  nodeName: shared\n", "", 1)
		c.Apply(strings.Replace(claimOf("one", "1Mi", ""), "ReadWriteOnce", "ReadWriteOncePod", 1) + scheduled)
		c.Kubectl("wait", "--for=condition=Ready", "pod/holder", "--timeout=150s")
		c.Apply(only("placed") + strings.ReplaceAll(scheduled, "holder", "asks"))
		says(t, "placed by hand", c.Ask("describe", "pod", "placed"), "FailedMount", "volume uses the ReadWriteOncePod access mode and is already in use by another pod")
		says(t, "asked for", c.Ask("describe", "pod", "asks"), "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod")
		c.Kubectl("delete", "pod", "holder", "asks", "--now")
		c.Kubectl("wait", "--for=condition=Ready", "pod/placed", "--timeout=240s")
	})
	t.Run("by hand", func(t *testing.T) { claimsByHand(t, c) })
	c.Kubectl("delete", "pods", "--all", "--now")
	c.Kubectl("delete", "pvc", "--all", "--timeout=150s")
	c.Eventually(60*time.Second, "true", func() string {
		if _, err := os.Stat(folder); os.IsNotExist(err) {
			return "true"
		}
		return "false"
	})
}

// claimsByHand binds volumes that a user made, from either side.
func claimsByHand(t *testing.T, c *cluster.Cluster) {
	pv := func(name, size, more string) string {
		return `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: ` + name + `, labels: {made: for-` + name + `}}
spec: {capacity: {storage: ` + size + `}, accessModes: [ReadWriteOnce], storageClassName: claims-hand, hostPath: {path: /nowhere}` + more + `}
`
	}
	const class = ", storageClassName: claims-hand"
	c.Apply(pv("claims-small", "1Gi", "") + pv("claims-large", "5Gi", "") + pv("claims-chosen", "9Gi", "") + pv("claims-gone", "2Gi", ", persistentVolumeReclaimPolicy: Delete") +
		pv("claims-kept", "1Gi", ", claimRef: {namespace: claims, name: kept}"))
	for _, name := range []string{"small", "large", "chosen", "gone", "kept"} {
		// Who says so knows of it: what comes now is not bound past it.
		same(t, name, c.Ask("get", "pv", "claims-"+name, "-o", "jsonpath={.status.phase}"), "Available")
	}
	c.Apply(claimOf("kept", "1Gi", class) + claimOf("chosen", "1Gi", class+", selector: {matchLabels: {made: for-claims-chosen}}") +
		claimOf("named", "1Gi", class+", volumeName: claims-gone") + claimOf("none", "1Ti", class+", volumeName: claims-large"))
	of := func(claim string) func() string {
		return c.Ask("get", "pvc", claim, "-o", "jsonpath={.status.phase} {.spec.volumeName} {.status.capacity.storage}")
	}
	same(t, "reserved", of("kept"), "Bound claims-kept 1Gi")
	same(t, "by selector", of("chosen"), "Bound claims-chosen 9Gi")
	same(t, "by name", of("named"), "Bound claims-gone 2Gi")
	says(t, "too small", c.Ask("describe", "pvc", "none"), "VolumeMismatch", `Cannot bind to requested volume "claims-large": requested PV is too small`)
	c.Apply(claimOf("small", "1Gi", class))
	same(t, "the smallest", of("small"), "Bound claims-small 1Gi")
	c.Kubectl("delete", "pvc", "named", "kept", "--timeout=150s")
	same(t, "to be deleted, by nobody", c.Ask("get", "pv", "claims-gone", "-o", "jsonpath={.status.phase} {.status.message}"), "Failed host_path deleter only supports /tmp/.+ but received provided /nowhere")
	says(t, "its event", c.Ask("describe", "pv", "claims-gone"), "VolumeFailedDelete", "host_path deleter only supports /tmp/.+ but received provided /nowhere")
	same(t, "retained", c.Ask("get", "pv", "claims-kept", "-o", "jsonpath={.status.phase}"), "Released")
	c.Kubectl("delete", "pvc", "small", "chosen", "none", "--timeout=150s")
	c.Kubectl("delete", "pv", "claims-small", "claims-large", "claims-chosen", "claims-gone", "claims-kept", "--timeout=150s")
}
