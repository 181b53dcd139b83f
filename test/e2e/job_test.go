package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Jobs run their pods to the end, count them, tell each its index, stop and go on.
func jobsRun(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: parts}
spec:
  completionMode: Indexed
  completions: 3
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: "` + nginxName + `", command: [sh, -c, 'echo part $JOB_COMPLETION_INDEX on $(hostname)']}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  backoffLimit: 0
  podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: "` + nginxName + `", command: [sh, -c, 'exit 42']}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: slow}
spec:
  podReplacementPolicy: Failed
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: "` + nginxName + `", command: [sleep, "1000"]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "@every 1s"
  timeZone: Europe/Kyiv
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers: [{name: c, image: "` + nginxName + `", command: [echo, tick]}]
`)
	c.Kubectl("wait", "--for=condition=complete", "job/parts", "--timeout=150s")
	same(t, "parts", c.Ask("get", "job", "parts", "--no-headers", "-o", "custom-columns=A:.status.succeeded,B:.status.completedIndexes"), "3     0-2")
	matches(t, "STATUS and COMPLETIONS", c.Ask("get", "job", "parts", "--no-headers"), `parts +Complete +3/3 +\d+s +\d+s`)
	said := c.Kubectl("logs", "-l", "job-name=parts", "--tail=-1")
	for _, want := range []string{"part 0 on parts-0", "part 1 on parts-1", "part 2 on parts-2"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in %s", want, said)
		}
	}
	c.Kubectl("wait", "--for=condition=failed", "job/bad", "--timeout=150s")
	matches(t, "why bad failed", c.Ask("get", "job", "bad", "-o", `jsonpath={.status.conditions[?(@.type=="Failed")].message}`),
		`Container c for pod \S+/bad-\w+ failed with exit code 42 matching FailJob rule at index 0`)

	// A pod that is stopped is replaced when it has ended, and not counted when
	// it is not wanted any more.
	ready := func() string {
		return c.Kubectl("get", "job", "slow", "-o", "jsonpath={.status.ready}/{.status.terminating}/{.status.failed}")
	}
	c.Eventually(60*time.Second, "1/0/", ready)
	c.Kubectl("delete", "pod", "-l", "job-name=slow", "--wait=false")
	c.Eventually(60*time.Second, "1/0/1", ready)
	c.Kubectl("patch", "job", "slow", "-p", `{"spec":{"suspend":true}}`)
	c.Eventually(60*time.Second, "0/0/1", ready)
	c.Eventually(60*time.Second, "", func() string {
		return c.Kubectl("get", "pods", "-l", "job-name=slow", "-o", "name", "--ignore-not-found", "--field-selector=status.phase!=Failed")
	})
	c.Kubectl("patch", "job", "slow", "-p", `{"spec":{"suspend":false}}`)
	c.Eventually(60*time.Second, "1/0/1", ready)
	c.Kubectl("delete", "job", "slow", "parts", "bad")
	c.Eventually(60*time.Second, "", func() string {
		return c.Kubectl("get", "pods", "-l", "job-name in (slow,parts,bad)", "-o", "name", "--ignore-not-found")
	})

	// A CronJob makes a job by itself, and by hand.
	c.Eventually(60*time.Second, "true", func() string {
		if c.Kubectl("get", "cronjob", "tick", "-o", "jsonpath={.status.lastSuccessfulTime}") != "" {
			return "true"
		}
		return c.Kubectl("get", "jobs,cronjobs,pods")
	})
	c.Kubectl("create", "job", "by-hand", "--from=cronjob/tick")
	c.Kubectl("wait", "--for=condition=complete", "job/by-hand", "--timeout=150s")
	same(t, "log", c.Ask("logs", "job/by-hand"), "tick")
	c.Kubectl("delete", "cronjob", "tick")
	c.Eventually(60*time.Second, "", func() string { return c.Kubectl("get", "jobs,pods", "-o", "name", "--ignore-not-found") })
}
