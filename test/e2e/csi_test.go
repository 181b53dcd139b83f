package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A storage driver of somebody else's, as its chart installs it: a DaemonSet with
// the kubelet's paths written into it. It is a program of the test's own, which
// refuses what must not happen.
func TestStorageDriver(t *testing.T) {
	c := cluster.New(t, "csi", "--kubelet-paths=on")
	foldersOfItsOwn(t, c)
	c.Start()
	c.Import(nginxImage(t))
	build(t, c)
	plain := &driven{t: t, c: c, name: "csi.test"}
	plain.install("attachRequired: false, podInfoOnMount: true, fsGroupPolicy: File, volumeLifecycleModes: [Persistent, Ephemeral]")
	plain.byHand()
	plain.inline()
	attaching := &driven{t: t, c: c, name: "attach.test"}
	attaching.install("attachRequired: true, storageCapacity: true", "--control")
	attaching.provisioned()
}

// driven is one driver.
type driven struct {
	t              *testing.T
	c              *cluster.Cluster
	name, manifest string
}

// app is what its pods are called.
func (s *driven) app() string {
	app, _, _ := strings.Cut(s.name, ".")
	return app
}

// run runs the driver's pods.
func (s *driven) run() {
	s.t.Helper()
	s.c.Apply(s.manifest)
	s.c.Kubectl("rollout", "status", "daemonset/"+s.app(), "--timeout=150s")
}

// volumes is where the driver has its volumes.
func (s *driven) volumes() string { return s.c.Path(s.name + "-volumes") }

// build builds the driver, which knows no cgo: the image has another C library.
func build(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(c.Path("driver"), "csidriver"), "./csidriver")
	cmd.Dir = filepath.Join(repo(t), "test/e2e")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the driver: %v\n%s", err, text)
	}
}

// install runs the driver on the node, and looks at what it is known by.
func (s *driven) install(object string, flags ...string) {
	s.t.Helper()
	if err := os.MkdirAll(s.volumes(), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.manifest = strings.NewReplacer("IMAGE", nginxName, "BIN", s.c.Path("driver"), "VOLUMES", s.volumes(), "NAME", s.name, "APP", s.app(), "OBJECT", object,
		"FLAGS", strings.Join(append(flags, "--limit=5"), ", ")).Replace(driverManifest)
	s.run()
	node := s.c.Host.Name
	says(s.t, "CSINode", s.c.Ask("get", "csinode", node, "-o", `jsonpath={range .spec.drivers[*]}{.name} {.nodeID} {.topologyKeys} {.allocatable.count};{end}`),
		s.name+" id-of-"+node+` ["topology.csi.test/node"] 5;`)
	same(s.t, "the node's label", s.c.Kubectl("get", "node", node, "-o", `jsonpath={.metadata.labels.topology\.csi\.test/node}`), node)
	says(s.t, "the node's annotation", s.c.Kubectl("get", "node", node, "-o", `jsonpath={.metadata.annotations.csi\.volume\.kubernetes\.io/nodeid}`), `"`+s.name+`":"id-of-`+node+`"`)
}

const driverManifest = `
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: NAME}
spec: {OBJECT}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: APP}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: APP}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: APP, namespace: default}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: APP}
spec:
  selector: {matchLabels: {app: APP}}
  template:
    metadata: {labels: {app: APP}}
    spec:
      serviceAccountName: APP
      terminationGracePeriodSeconds: 1
      containers:
        - name: driver
          image: IMAGE
          command: [/driver/csidriver, --name=NAME, --node=$(NODE), FLAGS, --socket=/csi/csi.sock, --register=/registration/NAME-reg.sock,
            --endpoint=/var/lib/kubelet/plugins/NAME/csi.sock]
          env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
          securityContext: {privileged: true}
          volumeMounts:
            - {name: driver, mountPath: /driver}
            - {name: volumes, mountPath: /volumes}
            - {name: dev, mountPath: /dev}
            - {name: socket, mountPath: /csi}
            - {name: registration, mountPath: /registration}
            - {name: kubelet, mountPath: /var/lib/kubelet, mountPropagation: Bidirectional}
      volumes:
        - {name: driver, hostPath: {path: BIN}}
        - {name: volumes, hostPath: {path: VOLUMES}}
        - {name: dev, hostPath: {path: /dev}}
        - {name: socket, hostPath: {path: /var/lib/kubelet/plugins/NAME, type: DirectoryOrCreate}}
        - {name: registration, hostPath: {path: /var/lib/kubelet/plugins_registry, type: Directory}}
        - {name: kubelet, hostPath: {path: /var/lib/kubelet, type: Directory}}
`

// make puts a volume where the driver has its own, as CreateVolume would.
func (s *driven) make(id string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.volumes(), "vol", id, "data"), 0o777); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.volumes(), "vol", id, "size"), []byte("1048576"), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func driverClaim(name, volume, more string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s}
spec: {capacity: {storage: 1Mi}, accessModes: [ReadWriteOnce], storageClassName: by-hand, csi: {driver: csi.test, volumeHandle: %[2]s%[3]s}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[1]s}
spec: {resources: {requests: {storage: 1Mi}}, accessModes: [ReadWriteOnce], storageClassName: by-hand, volumeName: %[1]s}
---`, name, volume, more)
}

// byHand is a volume that an administrator made known, in two pods at once.
func (s *driven) byHand() {
	c := s.c
	s.make("one")
	mount := `      volumeMounts: [{name: v, mountPath: /v%s}]
  securityContext: {fsGroup: 4242}
  volumes: [{name: v, persistentVolumeClaim: {claimName: one%s}}]
`
	c.Apply(driverClaim("one", "one", "") + shell("a", "echo written > /v/f; "+forever, fmt.Sprintf(mount, "", "")) + "---" +
		shell("b", forever, fmt.Sprintf(mount, "", ", readOnly: true")))
	c.Kubectl("wait", "--for=condition=Ready", "pod/a", "pod/b", "--timeout=150s")
	same(s.t, "the other pod's view", c.Kubectl("exec", "b", "--", "sh", "-c", "cat /v/f; touch /v/no 2>/dev/null || echo refused; stat -c %g /v/f"), "written\nrefused\n4242")
	if got, err := os.ReadFile(filepath.Join(s.volumes(), "vol/one/data/f")); err != nil || string(got) != "written\n" {
		s.t.Errorf("in the driver's volume: %q, %v", got, err)
	}
	says(s.t, "the driver's figures of its volume", c.Ask("get", "--raw", "/api/v1/nodes/"+c.Host.Name+"/proxy/metrics"),
		`kubelet_volume_stats_capacity_bytes{namespace="default",persistentvolumeclaim="one"} 1048576`, `kubelet_volume_stats_inodes_used{namespace="default",persistentvolumeclaim="one"} 3`)
	says(s.t, "the same in the summary", c.Ask("get", "--raw", "/api/v1/nodes/"+c.Host.Name+"/proxy/stats/summary"), `"availableBytes":1044480,"capacityBytes":1048576,"usedBytes":4096,"inodesFree":97,"inodes":100,"inodesUsed":3,"name":"v","pvcRef":{"name":"one"`)
	before := c.Containers()
	c.Signal("KILL")
	c.Start()
	if after := c.Containers(); after != before {
		s.t.Errorf("containers changed when berth was killed:\n%s\nnow:\n%s", before, after)
	}
	c.Kubectl("delete", "pod", "a", "--timeout=150s")
	same(s.t, "staged for the pod that is left", s.state("one"), "staged by 1")
	s.away()
	c.Kubectl("delete", "pod", "c", "--timeout=150s")
	same(s.t, "after the last pod", s.state("one"), "not staged, by 0")
}

// away takes the driver from the node for a while: the pod that ends and the one
// that begins say what they wait for, and go on when it is back.
func (s *driven) away() {
	c, app := s.c, s.app()
	c.Kubectl("delete", "daemonset", app, "--timeout=150s")
	c.Eventually(60*time.Second, "", c.Ask("get", "pods", "-l", "app="+app, "-o", "name"))
	c.Eventually(60*time.Second, "", c.Ask("get", "csinode", c.Host.Name, "-o", `jsonpath={.spec.drivers[*].name}`)) // it is the only one
	c.Apply(shell("c", forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, persistentVolumeClaim: {claimName: one}}]\n"))
	c.Kubectl("delete", "pod", "b", "--wait=false")
	const missing = `driver name csi.test not found in the list of registered CSI drivers`
	says(s.t, "the pod that ends", c.Ask("get", "events", "--field-selector=involvedObject.name=b,reason=FailedUnMount", "-o", "jsonpath={.items[*].message}"),
		`UnmountVolume.TearDown failed for volume "one" : kubernetes.io/csi: Unmounter.TearDownAt failed to get CSI client: `+missing)
	says(s.t, "the pod that begins", c.Ask("get", "events", "--field-selector=involvedObject.name=c,reason=FailedMount", "-o", "jsonpath={.items[*].message}"),
		`MountVolume.MountDevice failed for volume "one" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: `+missing)
	s.run()
	c.Kubectl("wait", "--for=delete", "pod/b", "--timeout=150s")
	c.Kubectl("wait", "--for=condition=Ready", "pod/c", "--timeout=150s")
}

// state is what the driver knows of a volume's use.
func (s *driven) state(id string) string {
	dir := filepath.Join(s.volumes(), "vol", id)
	users, _ := os.ReadDir(filepath.Join(dir, "pods")) // none yet is none
	staged := "staged"
	if _, err := os.Stat(filepath.Join(dir, "staged")); err != nil {
		staged = "not staged,"
	}
	return fmt.Sprintf("%s by %d", staged, len(users))
}

// inline is a volume that a pod describes itself.
func (s *driven) inline() {
	c := s.c
	c.Kubectl("create", "secret", "generic", "inline", "--from-literal=password=xyzzy")
	c.Apply(shell("inline", forever, `      volumeMounts: [{name: v, mountPath: /v}]
  volumes: [{name: v, csi: {driver: csi.test, volumeAttributes: {says: hello}, nodePublishSecretRef: {name: inline}}}]
`))
	c.Kubectl("wait", "--for=condition=Ready", "pod/inline", "--timeout=150s")
	same(s.t, "what the driver was told", c.Kubectl("exec", "inline", "--", "cat", "/v/said"), "hello to inline with xyzzy")
	c.Kubectl("delete", "pod", "inline", "--timeout=150s")
	left, err := filepath.Glob(filepath.Join(s.volumes(), "vol", "csi-*"))
	if err != nil || len(left) > 0 {
		s.t.Errorf("left of an inline volume: %v %v", left, err)
	}
}

// provisioned is a claim's whole life with a driver that attaches, and the life
// of a block volume beside it, while the driver and berth are killed.
func (s *driven) provisioned() {
	c, node := s.c, s.c.Host.Name
	c.Apply(`
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: driven}
provisioner: attach.test
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: CSIStorageCapacity
metadata: {name: driven}
storageClassName: driven
nodeTopology: {matchLabels: {topology.csi.test/node: ` + node + `}}
capacity: 100Mi
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec: {resources: {requests: {storage: 1Mi}}, accessModes: [ReadWriteOnce], storageClassName: driven}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: blocks}
spec: {resources: {requests: {storage: 1Mi}}, accessModes: [ReadWriteOnce], storageClassName: driven, volumeMode: Block}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: huge}
spec: {resources: {requests: {storage: 200Mi}}, accessModes: [ReadWriteOnce], storageClassName: driven}
`)
	user := shell("user", forever, `      volumeMounts: [{name: files, mountPath: /files}]
      volumeDevices: [{name: blocks, devicePath: /dev/blocks}]
  volumes: [{name: files, persistentVolumeClaim: {claimName: files}}, {name: blocks, persistentVolumeClaim: {claimName: blocks}}]
`)
	c.Apply(user + "---" + shell("huge", forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, persistentVolumeClaim: {claimName: huge}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/user", "--timeout=150s")
	read := "cat /files/f && head -c 7 /dev/blocks"
	c.Kubectl("exec", "user", "--", "sh", "-c", "echo kept > /files/f && printf 'written' | dd of=/dev/blocks conv=notrunc,fsync status=none")
	attached := c.Ask("get", "volumeattachments", "-o", `jsonpath={range .items[*]}{.spec.attacher} {.spec.nodeName} {.status.attached} {.status.attachmentMetadata.attached-to};{end}`)
	same(s.t, "attachments", attached(), strings.Repeat("attach.test "+node+" true id-of-"+node+";", 2))
	same(s.t, "what the node has attached and in use", c.Kubectl("get", "node", node, "-o", `jsonpath={.status.volumesAttached[*].name}`), c.Kubectl("get", "node", node, "-o", `jsonpath={.status.volumesInUse[0]} {.status.volumesInUse[1]}`))
	says(s.t, "events", c.Ask("describe", "pod", "user"), `AttachVolume.Attach succeeded for volume "pvc-`)
	says(s.t, "a claim that there is no room for", c.Ask("describe", "pod", "huge"), "node(s) did not have enough free storage")
	c.Kubectl("delete", "pod", "huge", "--now")

	s.kill()
	c.Signal("KILL")
	c.Start()
	c.Kubectl("delete", "pod", "user", "--timeout=150s")
	c.Eventually(60*time.Second, "", attached)
	c.Apply(user)
	c.Kubectl("wait", "--for=condition=Ready", "pod/user", "--timeout=150s")
	same(s.t, "data", c.Kubectl("exec", "user", "--", "sh", "-c", read), "kept\nwritten")

	for _, claim := range []string{"files", "blocks"} {
		c.Kubectl("patch", "pvc", claim, "-p", `{"spec":{"resources":{"requests":{"storage":"3Mi"}}}}`)
	}
	c.Eventually(60*time.Second, "3Mi  ;3Mi  ;", func() string {
		return c.Kubectl("get", "pvc", "files", "blocks", "-o", `jsonpath={range .items[*]}{.status.capacity.storage} {.status.conditions} {.status.allocatedResourceStatuses};{end}`)
	})
	same(s.t, "the device's size", c.Kubectl("exec", "user", "--", "sh", "-c", "dd if=/dev/blocks bs=1M status=none | wc -c"), "3145728")
	says(s.t, "events", c.Ask("describe", "pod", "user"), `MountVolume.NodeExpandVolume succeeded for volume "pvc-`)

	says(s.t, "the claim's events", c.Ask("describe", "pvc", "files"), "ExternalExpanding", "waiting for an external controller to expand this PVC")

	s.snapshots()

	// One that no pod uses grows with the next pod.
	c.Kubectl("delete", "pod", "user", "--timeout=150s")
	c.Eventually(60*time.Second, "", attached)
	c.Kubectl("patch", "pvc", "files", "-p", `{"spec":{"resources":{"requests":{"storage":"5Mi"}}}}`)
	growth := c.Ask("get", "pvc", "files", "-o", "jsonpath={.status.capacity.storage} {.status.conditions[*].type} {.status.allocatedResourceStatuses.storage}")
	c.Eventually(60*time.Second, "3Mi FileSystemResizePending NodeResizePending", growth)
	c.Apply(user)
	c.Eventually(60*time.Second, "5Mi  ", growth)
	c.Kubectl("wait", "--for=condition=Ready", "pod/user", "--timeout=150s")

	c.Kubectl("delete", "pod", "user", "--timeout=150s")
	c.Eventually(60*time.Second, "", attached)
	c.Kubectl("delete", "pvc", "files", "blocks", "huge", "--timeout=150s")
	c.Eventually(60*time.Second, "", func() string {
		return c.Kubectl("get", "pv", "-o", `jsonpath={.items[?(@.spec.storageClassName=="driven")].metadata.name}`)
	})
	left, err := filepath.Glob(filepath.Join(s.volumes(), "vol", "*"))
	if err != nil || len(left) > 0 {
		s.t.Errorf("left of the volumes: %v %v", left, err)
	}
	c.Eventually(60*time.Second, "", c.Ask("get", "node", node, "-o", `jsonpath={.status.volumesInUse}{.status.volumesAttached}`))
}

// snapshots has the driver's sidecar take one of a claim, and make a volume of it.
func (s *driven) snapshots() {
	c := s.c
	c.Apply(`
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: driven}
driver: attach.test
deletionPolicy: Delete
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: files}
spec: {volumeSnapshotClassName: driven, source: {persistentVolumeClaimName: files}}
`)
	c.Eventually(60*time.Second, "true 3Mi ", c.Ask("get", "volumesnapshot", "files", "-o", "jsonpath={.status.readyToUse} {.status.restoreSize} {.status.error}"))
	c.Kubectl("exec", "user", "--", "sh", "-c", "echo later > /files/f")
	c.Apply(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: restored}
spec:
  resources: {requests: {storage: 3Mi}}
  accessModes: [ReadWriteOnce]
  storageClassName: driven
  dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: files}
---` + shell("restored", forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, persistentVolumeClaim: {claimName: restored}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/restored", "--timeout=150s")
	same(s.t, "the volume made of the snapshot", c.Kubectl("exec", "restored", "--", "cat", "/v/f"), "kept")
	c.Kubectl("delete", "pod", "restored", "--timeout=150s")
	c.Kubectl("delete", "pvc/restored", "volumesnapshot/files", "--timeout=150s")
	c.Eventually(60*time.Second, "", c.Ask("get", "volumesnapshotcontents", "-o", "name"))
	left, err := filepath.Glob(filepath.Join(s.volumes(), "snap", "*"))
	if err != nil || len(left) > 0 {
		s.t.Errorf("left of the snapshot: %v %v", left, err)
	}
}

// kill kills the driver's process.
func (s *driven) kill() {
	s.t.Helper()
	pids := s.c.Host.Find(func(command string) bool { return strings.HasPrefix(command, "/driver/csidriver --name="+s.name+" ") })
	if len(pids) != 1 {
		s.t.Fatalf("processes of driver %s: %v", s.name, pids)
	}
	s.c.Host.MustRun(s.t.Context(), "kill", "-9", pids[0])
}
