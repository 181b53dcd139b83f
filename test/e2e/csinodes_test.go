package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

var movingSet = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: moves}
spec: {capacity: {storage: 1Mi}, accessModes: [ReadWriteOnce], storageClassName: by-hand, csi: {driver: attach.test, volumeHandle: moves, volumeAttributes: {attach: "true"}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: moves}
spec: {resources: {requests: {storage: 1Mi}}, accessModes: [ReadWriteOnce], storageClassName: by-hand, volumeName: moves}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: ` + nginxName + `
          command: [sh, -c, ` + quote("echo $NODE >> /v/nodes; "+forever) + `]
          env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
          volumeMounts: [{name: v, mountPath: /v}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: moves}}]
`

// A driver on two machines, one of them joined, with a volume that one node at a
// time may have: a second node is refused it, it goes along when its node is
// drained, and is taken from a node that is said to be off.
func TestStorageDriverMoves(t *testing.T) {
	network := host.NewSwitch(t)
	one, two := network.Host("one"), network.Host("two")
	c := cluster.On(t, one, cluster.Bin(t), "--kubelet-paths=on")
	foldersOfItsOwn(t, c)
	c.Start()
	c.Import(nginxImage(t))
	a := c.Agent(t, two, "--kubelet-paths=on")
	foldersOfItsOwn(t, a)
	a.Launch()
	ready := c.Ask("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
	c.Eventually(180*time.Second, "one=True two=True ", ready)
	a.Import(nginxImage(t))
	build(t, c)
	s := &driven{t: t, c: c, name: "attach.test"}
	s.install("attachRequired: true", "--control")
	c.Eventually(60*time.Second, "id-of-two", c.Ask("get", "csinode", "two", "-o", "jsonpath={.spec.drivers[0].nodeID}"))
	s.make("moves")

	c.Kubectl("cordon", "one")
	c.Apply(movingSet)
	c.Kubectl("rollout", "status", "sts/db", "--timeout=150s")
	attached := c.Ask("get", "volumeattachments", "-o", `jsonpath={range .items[*]}{.spec.nodeName} {.status.attached};{end}`)
	same(t, "attached", attached(), "two true;")
	c.Kubectl("uncordon", "one")

	// A pod elsewhere is told who has it.
	c.Apply(strings.Replace(shell("other", forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, persistentVolumeClaim: {claimName: moves}}]\n"),
		"spec:\n", "spec:\n  nodeName: one\n", 1))
	says(t, "a pod on another node", c.Ask("get", "events", "--field-selector=involvedObject.name=other,reason=FailedAttachVolume", "-o", "jsonpath={.items[*].message}"),
		`Multi-Attach error for volume "moves" Volume is already used by pod(s) db-0`)
	same(t, "attached", attached(), "two true;")
	c.Kubectl("delete", "pod", "other", "--now", "--timeout=150s")

	moved := func(node string) {
		t.Helper()
		c.Eventually(150*time.Second, node+" true", c.Ask("get", "pod", "db-0", "--ignore-not-found", "-o", "jsonpath={.spec.nodeName} {.status.containerStatuses[0].ready}"))
		c.Eventually(60*time.Second, node+" true;", attached)
	}
	c.Kubectl("drain", "two", "--ignore-daemonsets", "--timeout=150s")
	moved("one")
	c.Kubectl("uncordon", "two")
	c.Kubectl("drain", "one", "--ignore-daemonsets", "--timeout=150s")
	moved("two")
	c.Kubectl("uncordon", "one")

	// The machine is lost, and somebody who knows says that it is off.
	a.Kill()
	c.Eventually(180*time.Second, "one=True two=Unknown ", ready)
	same(t, "attached while nobody knows", attached(), "two true;")
	if err := os.WriteFile(filepath.Join(s.volumes(), "off-id-of-two"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Kubectl("taint", "node", "two", "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
	moved("one")
	c.Eventually(60*time.Second, "two\none\ntwo\none", func() string {
		out, _ := c.Try("exec", "db-0", "--", "cat", "/v/nodes")
		return strings.TrimSpace(out)
	})

	// It comes back, and has nothing of it.
	c.Kubectl("taint", "node", "two", "node.kubernetes.io/out-of-service-")
	a.Launch()
	c.Eventually(180*time.Second, "one=True two=True ", ready)
	c.Eventually(120*time.Second, "", c.Ask("get", "node", "two", "-o", "jsonpath={.status.volumesInUse}{.status.volumesAttached}"))
	same(t, "attached in the end", attached(), "one true;")
	says(t, "still there", c.Kubectl("exec", "db-0", "--", "cat", "/v/nodes"), "two\none\ntwo\none")
}
