package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What containers really use is shown by kubectl top, and an autoscaler makes
// more of those that are busy, and fewer when they are not.
func autoscaled(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: work
          image: ` + nginxName + `
          command: [sh, -c, 'while :; do :; done']
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 200m}}
        - name: rest
          image: ` + nginxName + `
          command: [sleep, "1000"]
          resources: {requests: {cpu: 1m, memory: 16Mi}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: idle}
spec:
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: ` + nginxName + `
          command: [sleep, "1000"]
          resources: {requests: {cpu: 100m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: idle}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: idle}
  minReplicas: 2
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`)
	c.Kubectl("rollout", "status", "deployment/busy", "--timeout=150s")
	c.Kubectl("autoscale", "deployment", "busy", "--min=1", "--max=2", "--cpu=100%")

	shows := func(pattern string, args ...string) {
		t.Helper()
		c.Eventually(60*time.Second, "matched", func() string {
			said, err := c.Try(append([]string{"top"}, args...)...)
			if err == nil && matched(pattern, said) {
				return "matched"
			}
			return said
		})
	}
	// Up to 200m, or what is left where others are busy too.
	shows(`(?m)^busy-\S+ +[1-9]\d{1,2}m +\d+Mi`, "pod", "-l", "app=busy", "--no-headers")
	shows(`busy-\S+ +rest +[0-5]m +\d+Mi`, "pod", "-l", "app=busy", "--containers", "--no-headers")
	shows(`idle-0 +[0-5]m +\d+Mi`, "pod", "idle-0", "--no-headers")
	shows(`\S+ +\d+m +\d+% +\d+Mi +\d+%`, "node", "--no-headers")
	if said := c.Refused("top", "pod", "nobody"); !strings.Contains(said, `pods "nobody" not found`) {
		t.Errorf("a pod that is not there: %s", said)
	}

	replicas := func(of string) func() string {
		return func() string { return c.Kubectl("get", of, "-o", "jsonpath={.spec.replicas}") }
	}
	c.Eventually(60*time.Second, "2", replicas("statefulset/idle"))
	c.Eventually(90*time.Second, "2", replicas("deployment/busy"))
	c.Eventually(60*time.Second, "matched", func() string {
		said := c.Kubectl("describe", "hpa", "busy")
		if matched(`New size: 2; reason: cpu resource utilization \(percentage of request\) above target`, said) {
			return "matched"
		}
		return said
	})
	c.Eventually(60*time.Second, "matched", func() string {
		said := c.Kubectl("get", "hpa", "idle", "--no-headers")
		if matched(`^idle +StatefulSet/idle +cpu: [0-9]%/50% +2 +4 +2 +`, said) {
			return "matched"
		}
		return said
	})
}
