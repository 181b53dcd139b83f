package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Pods that are bound to the node by who made them, past the scheduler: the
// node takes them or says why not, in upstream's words.
func boundDirectly(t *testing.T, c *cluster.Cluster) {
	bound := func(name, more string) string { return shell(name, forever, more+"  nodeName: shared\n") }
	c.Apply(bound("holder", "      ports: [{containerPort: 80, hostPort: 39181}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/holder", "--timeout=150s")
	c.Apply(strings.Join([]string{
		bound("big", "      resources: {requests: {cpu: 9999}}\n"),
		bound("port", "      ports: [{containerPort: 80, hostPort: 39181}]\n"),
		bound("label", "  nodeSelector: {nowhere: at-all}\n"),
		bound("windows", "  os: {name: windows}\n"),
		bound("sysctl", "  securityContext: {sysctls: [{name: kernel.msgmax, value: \"65536\"}]}\n"),
		bound("fits", "  securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: \"99\"}]}\n"),
	}, "---"))
	refused := map[string][2]string{
		"big":     {"OutOfcpu", "Node didn't have enough resource: cpu, requested: 9999000, used: [0-9]+, capacity: [0-9]+"},
		"port":    {"NodePorts", "Predicate NodePorts failed: node\\(s\\) didn't have free ports for the requested pod ports"},
		"label":   {"NodeAffinity", "Predicate NodeAffinity failed: node\\(s\\) didn't match Pod's node affinity/selector"},
		"windows": {"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"},
		"sysctl":  {"SysctlForbidden", `forbidden sysctl: "kernel.msgmax" not allowlisted`},
	}
	if enabled, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); !strings.HasPrefix(string(enabled), "Y") {
		c.Apply(bound("armor", "  securityContext: {appArmorProfile: {type: RuntimeDefault}}\n"))
		refused["armor"] = [2]string{"AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"}
	}
	for pod, want := range refused {
		c.Kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/"+pod, "--timeout=150s")
		matches(t, pod, c.Ask("get", "pod", pod, "-o", "jsonpath={.status.reason}: {.status.message}"), want[0]+": Pod was rejected: "+want[1])
		matches(t, "row", c.Ask("get", "pod", pod, "--no-headers"), pod+" +0/1 +"+want[0]+" +0 +.*")
		// Events are written a moment later.
		c.Eventually(60*time.Second, "Warning "+want[0]+" kubelet", func() string {
			return c.Kubectl("get", "events", "--field-selector", "involvedObject.name="+pod, "-o", "jsonpath={.items[*]['type','reason','source.component']}")
		})
	}
	c.Kubectl("wait", "--for=condition=Ready", "pod/fits", "--timeout=150s")
	same(t, "safe sysctl", c.Kubectl("exec", "fits", "--", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "99")
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}
