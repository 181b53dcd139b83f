package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A rollout that respects a budget waits for it and ends: no more pods are down
// than it allows, and all are replaced.
func rolloutWithinBudget(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	budget := `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: MIN, selector: {matchLabels: {app: web}}}
`
	allowed := func() string {
		return c.Kubectl("get", "pdb", "web", "-o", "jsonpath={.status.disruptionsAllowed} of {.status.currentHealthy}")
	}
	uids := func() string { return c.Kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}") }
	c.Apply(strings.Replace(budget, "MIN", `"100%"`, 1))
	c.Eventually(60*time.Second, "0 of 3", allowed)
	c.Kubectl("annotate", "sts", "web", "berth.dev/respect-pdb=true")
	before := uids()
	c.Kubectl("rollout", "restart", "sts/web")
	c.Eventually(60*time.Second, "RolloutProgressing", func() string {
		return c.Kubectl("get", "sts", "web", "-o", `jsonpath={.status.conditions[?(@.type=="Progressing")].reason}`)
	})
	same(t, "pods while the budget forbids", uids(), before)
	c.Apply(strings.Replace(budget, "MIN", "2", 1))
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	for _, uid := range strings.Fields(before) {
		if strings.Contains(uids(), uid) {
			t.Errorf("pod %s was not replaced", uid)
		}
	}
	c.Eventually(60*time.Second, "1 of 3", allowed)
	c.Kubectl("delete", "sts,svc,pdb", "web")
}
