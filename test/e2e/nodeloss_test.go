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

const holderSpec = `
      containers:
        - name: c
          image: ` + nginxName + `
          command: [PROGRAM]
          env:
            - {name: ` + holderFolder + `, value: SHARED}
            - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
          readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
          volumeMounts: [{name: shared, mountPath: SHARED}, {name: program, mountPath: PROGRAM}]
      volumes:
        - {name: shared, hostPath: {path: SHARED}}
        - {name: program, hostPath: {path: PROGRAM, type: File}}
`

// holders is a set spread over nodes whose pods hold a lock each, and one that
// stays on a node and is not to be replaced.
const holders = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: web}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, annotations: {berth.dev/node-loss: Replace}}
spec:
  serviceName: web
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - {labelSelector: {matchLabels: {app: web}}, topologyKey: kubernetes.io/hostname}
      tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]` + holderSpec + `
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: plain}
spec:
  serviceName: web
  selector: {matchLabels: {app: plain}}
  template:
    metadata: {labels: {app: plain}}
    spec:
      terminationGracePeriodSeconds: 5
      nodeSelector: {kubernetes.io/hostname: three}
      tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]` + holderSpec

// Three machines, one of them behind a router. A node is drained, and its pod
// takes name and address along. A node is lost, its agent killed before: the pod
// of a set that asks for it is replaced and never runs twice, all others stay
// until the node is back.
func TestLostNode(t *testing.T) {
	network := host.NewSwitch(t)
	beyond := network.Beyond()
	one, two, three := network.Host("one"), network.Host("two"), beyond.Host("three")
	c := cluster.On(t, one, cluster.Bin(t)).Start()
	c.Import(nginxImage(t))
	near, far := c.Agent(t, two, "--fence-after", "20s"), c.Agent(t, three, "--fence-after", "20s")
	near.Launch()
	far.Launch()
	ready := func(node string) string {
		return c.Kubectl("get", "node", node, "--ignore-not-found", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	}
	for _, node := range []string{"two", "three"} {
		c.Eventually(120*time.Second, "True", func() string { return ready(node) })
	}
	near.Import(nginxImage(t))
	far.Import(nginxImage(t))

	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Kubectl("cordon", "one")
	c.Apply(strings.NewReplacer("SHARED", shared, "PROGRAM", program).Replace(holders))
	field := func(pod, path string) string {
		return c.Kubectl("get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={"+path+"}")
	}
	for _, set := range []string{"web", "plain"} {
		c.Kubectl("rollout", "status", "sts/"+set, "--timeout=150s")
	}
	c.Kubectl("uncordon", "one")
	moves, stays := "web-0", "web-1"
	if field(stays, ".spec.nodeName") != "three" {
		moves, stays = stays, moves
	}
	same(t, "the pods' nodes", field(moves, ".spec.nodeName")+" "+field(stays, ".spec.nodeName"), "two three")
	meets := func(from *host.Host, pod string) {
		t.Helper()
		c.Eventually(60*time.Second, pod, func() string {
			ctx := t.Context()
			out, _ := from.Run(ctx, "curl", "-s", "-m", "3", "http://"+field(pod, ".status.podIP")+":8080")
			return out
		})
	}
	meets(one, stays)
	meets(three, moves)
	mustCall := func(from, to string) {
		t.Helper()
		c.Eventually(60*time.Second, to, func() string {
			out, _ := c.Try("exec", from, "--", "curl", "-s", "-m", "3", "http://"+to+".web:8080")
			return out
		})
	}
	mustCall(moves, stays)
	mustCall(stays, moves)

	// A node is drained: its pod takes name and address along.
	address := field(moves, ".status.podIP")
	c.Kubectl("drain", "two", "--ignore-daemonsets", "--timeout=150s")
	c.Eventually(120*time.Second, "one true "+address, func() string {
		return field(moves, ".spec.nodeName") + " " + field(moves, ".status.containerStatuses[0].ready") + " " + field(moves, ".status.podIP")
	})
	c.Kubectl("uncordon", "two")
	mustCall(stays, moves)

	// Its node promises to stop the pod of the one set, and not that of the other.
	uid, address := field(stays, ".metadata.uid"), field(stays, ".status.podIP")
	c.Eventually(60*time.Second, `{"after":"20s","pods":["`+uid+`"]}`, func() string {
		return c.Kubectl("get", "lease", "-n", "kube-node-lease", "three", "-o", `jsonpath={.metadata.annotations.berth\.dev/fence}`)
	})
	c.Eventually(60*time.Second, "True", func() string {
		return c.Kubectl("get", "node", "three", "-o", `jsonpath={.status.conditions[?(@.type=="berth.dev/Fence")].status}`)
	})

	far.Kill()
	beyond.Unplug(three)
	began := time.Now()
	c.Eventually(180*time.Second, "two true "+address, func() string {
		return field(stays, ".spec.nodeName") + " " + field(stays, ".status.containerStatuses[0].ready") + " " + field(stays, ".status.podIP")
	})
	t.Logf("the pod of the lost node is replaced %s after it was cut off", time.Since(began).Round(100*time.Millisecond))
	if field(stays, ".metadata.uid") == uid {
		t.Error("it is the same pod")
	}
	mustCall(moves, stays)
	plain := field("plain-0", ".metadata.uid")
	c.Eventually(60*time.Second, "deleted", func() string {
		if field("plain-0", ".metadata.deletionTimestamp") != "" {
			return "deleted"
		}
		return "not yet"
	})
	if field("plain-0", ".metadata.uid") != plain || !heldIn(t, shared, "plain-0") {
		t.Error("the pod that nobody said may be replaced was, or it does not run any more")
	}
	why, _ := c.Host.Run(t.Context(), c.Berth(), "why", "pod", "plain-0", "--data-dir", c.Data) // says by its code that it waits
	says(t, "why plain-0 waits", why, "not heard from")

	// It comes back: what was to go there goes, and nothing of the replaced pod was left.
	beyond.Plug(three)
	far.Launch()
	c.Eventually(120*time.Second, "True", func() string { return ready("three") })
	c.Eventually(120*time.Second, "another", func() string {
		if now := field("plain-0", ".metadata.uid"); now != plain && field("plain-0", ".status.containerStatuses[0].ready") == "true" {
			return "another"
		}
		return "not yet"
	})
	mustCall(moves, stays)
	meets(three, stays)
	if text, err := os.ReadFile(filepath.Join(shared, "twice")); err == nil {
		t.Errorf("at once there were two of:\n%s", text)
	}
	text, err := os.ReadFile(filepath.Join(shared, "held"))
	if err != nil || strings.Count(string(text), stays+" on three\n") != 1 || strings.Count(string(text), stays+" on two\n") != 1 {
		t.Errorf("it ran (%v):\n%s", err, text)
	}
	t.Logf("who held what:\n%s", text)
}
