package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

const daemon = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemon}
spec:
  selector: {matchLabels: {app: daemon}}
  template:
    metadata: {labels: {app: daemon}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: berth.dev/demo:1
          env: [{name: VERSION, value: one}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
`

// onEachNode starts a DaemonSet, which comes up on both nodes, is rolled and
// rolled back.
func onEachNode(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	c.Apply(daemon)
	rolled := func() {
		t.Helper()
		says(t, "rollout status", c.Kubectl("rollout", "status", "daemonset/daemon", "--timeout=150s"), `daemon set "daemon" successfully rolled out`)
	}
	version := func(want string) {
		t.Helper()
		c.Eventually(60*time.Second, "one="+want+" two="+want+" ", func() string {
			return c.Kubectl("get", "pods", "-l", "app=daemon", "--sort-by=.spec.nodeName", "-o", `jsonpath={range .items[*]}{.spec.nodeName}={.spec.containers[0].env[0].value} {end}`)
		})
	}
	rolled()
	version("one")
	c.Kubectl("set", "env", "daemonset/daemon", "VERSION=two")
	rolled()
	version("two")
	same(t, "history", c.Ask("rollout", "history", "daemonset/daemon"), "daemonset.apps/daemon \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>")
	says(t, "undo", c.Kubectl("rollout", "undo", "daemonset/daemon"), "daemonset.apps/daemon rolled back")
	rolled()
	version("one")
}

// daemonStays is what a drain leaves alone.
func daemonStays(t *testing.T, c *cluster.Cluster, node string) {
	t.Helper()
	got := c.Kubectl("get", "pods", "-l", "app=daemon", "--field-selector", "spec.nodeName="+node+",status.phase=Running", "-o", "name")
	if strings.Count(got, "pod/") != 1 {
		t.Errorf("daemons on the drained node: %q", got)
	}
}
