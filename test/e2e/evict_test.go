package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Pods that take more of the node's disk than they may are evicted, in
// upstream's words; one that stays within its limits is not disturbed.
func overTheLimit(t *testing.T, c *cluster.Cluster) {
	fill := func(path string) string {
		return "head -c 3000000 /dev/zero > " + path + "; " + forever
	}
	limited := "      resources: {limits: {ephemeral-storage: 1Mi}}\n"
	volume := func(source string) string {
		return "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, emptyDir: " + source + "}]\n"
	}
	c.Apply(strings.Join([]string{
		shell("volume", fill("/v/file"), volume("{sizeLimit: 1Mi}")),
		shell("layer", fill("/var/file"), limited),
		shell("both", fill("/v/file"), limited+volume("{}")),
		// Of what a log holds that is compressed when a new one begins, something has to be left.
		shell("talks", "head -c 3000000 /dev/urandom | base64 -w 100; "+forever, limited),
		shell("within", "head -c 500000 /dev/zero > /v/file; "+forever, strings.Replace(limited, "1Mi", "4Mi", 1)+volume("{sizeLimit: 1Mi}")),
	}, "---"))
	const total = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
	for pod, want := range map[string]string{
		"volume": `Usage of EmptyDir volume "v" exceeds the limit "1Mi". `,
		"layer":  total,
		"both":   total,
		"talks":  total,
	} {
		c.Kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/"+pod, "--timeout=150s")
		// kubectl's output is trimmed at its end.
		same(t, pod, c.Ask("get", "pod", pod, "-o", "jsonpath={.status.reason}: {.status.message}"), "Evicted: "+strings.TrimSpace(want))
		// As upstream's, the table shows how its containers ended.
		matches(t, "row", c.Ask("get", "pod", pod, "--no-headers"), pod+" +0/1 +(Completed|Error) +0 +.*")
	}
	c.Eventually(60*time.Second, "Evicted", func() string {
		return c.Kubectl("get", "events", "--field-selector", "involvedObject.name=volume,type=Warning", "-o", "jsonpath={.items[*].reason}")
	})
	matches(t, "row", c.Ask("get", "pod", "within", "--no-headers"), "within +1/1 +Running +0 +.*")
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}
