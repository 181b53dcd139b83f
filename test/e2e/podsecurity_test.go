package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What a container may do is what its security context says.
func securityOfContainers(t *testing.T, c *cluster.Cluster) {
	profiles := filepath.Join(c.Data, "kubelet/seccomp")
	if err := os.MkdirAll(profiles, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profiles, "nomkdir.json"), []byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	container := func(name, security string) string {
		return "    - {name: " + name + ", image: " + nginxName + ", command: [sh, -c, " + quote(forever) + "], securityContext: " + security + "}\n"
	}
	c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: safe}
spec:
  terminationGracePeriodSeconds: 1
  securityContext:
    runAsUser: 1000
    runAsGroup: 2000
    supplementalGroups: [3000]
    seccompProfile: {type: RuntimeDefault}
    sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "99"}, {name: kernel.shm_rmid_forced, value: "1"}]
  containers:
` + container("strict", "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}") +
		container("root", "{runAsUser: 0, capabilities: {add: [NET_ADMIN], drop: [MKNOD]}, seccompProfile: {type: Unconfined}}") +
		container("local", "{runAsUser: 0, seccompProfile: {type: Localhost, localhostProfile: nomkdir.json}}") +
		container("mighty", "{runAsUser: 0, privileged: true}") + `
---
apiVersion: v1
kind: Pod
metadata: {name: noroot}
spec: {securityContext: {runAsNonRoot: true}, containers: [{name: c, image: ` + nginxName + `}]}
---
apiVersion: v1
kind: Pod
metadata: {name: root}
spec: {containers: [{name: c, image: ` + nginxName + `, securityContext: {runAsNonRoot: true, runAsUser: 0}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: noprofile}
spec: {containers: [{name: c, image: ` + nginxName + `, securityContext: {seccompProfile: {type: Localhost, localhostProfile: nothere.json}}}]}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: pod-security-other}
handler: nothere
overhead: {podFixed: {cpu: 20m, memory: 8Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: otherruntime}
spec: {runtimeClassName: pod-security-other, containers: [{name: c, image: ` + nginxName + `}]}
---
apiVersion: v1
kind: Pod
metadata: {name: sysctl}
spec: {securityContext: {sysctls: [{name: kernel.msgmax, value: "65536"}]}, containers: [{name: c, image: ` + nginxName + `}]}
`)
	c.Kubectl("wait", "--for=condition=Ready", "pod/safe", "--timeout=150s")
	in := func(container, script string) string {
		return c.Kubectl("exec", "safe", "-c", container, "--", "sh", "-c", script)
	}
	const facts = `while read -r key value; do case $key in CapEff:|NoNewPrivs:|Seccomp:) echo $key $value;; esac; done </proc/self/status`
	same(t, "user and groups", in("strict", "id"), "uid=1000 gid=2000 groups=2000,3000")
	same(t, "rights of the strict one", in("strict", facts), "CapEff: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2")
	same(t, "what it can write", in("strict", "touch /x 2>/dev/null || echo nothing"), "nothing")
	same(t, "sysctls", in("strict", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced"), "99\n1")
	same(t, "rights of root", in("root", facts), "CapEff: 00000000a00435fb\nNoNewPrivs: 0\nSeccomp: 0")
	same(t, "a profile of the node", in("local", "mkdir /tmp/x 2>/dev/null || echo no; touch /tmp/y && echo yes"), "no\nyes")
	same(t, "what only a privileged one can", in("mighty", "mount -t tmpfs x /mnt 2>/dev/null || echo no mount; test -e /dev/kmsg && echo devices; test -w /proc/sys/kernel/hostname && echo proc"), "no mount\ndevices\nproc")
	same(t, "what others cannot", in("root", "test -e /dev/kmsg || echo no devices; test -w /proc/sys/kernel/hostname || echo no proc"), "no devices\nno proc")

	for pod, want := range map[string][2]string{
		"noroot":    {"CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: \"noroot_pod-security(UID)\", container: c)"},
		"root":      {"CreateContainerConfigError", "container's runAsUser breaks non-root policy (pod: \"root_pod-security(UID)\", container: c)"},
		"noprofile": {"CreateContainerError", "nothere.json"},
	} {
		c.Eventually(60*time.Second, want[0], waiting(c, pod))
		uid := c.Kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
		message := strings.ReplaceAll(want[1], "UID", uid)
		says(t, pod, c.Ask("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"), message)
		says(t, "events of "+pod, c.Ask("events", "--for", "pod/"+pod), "Error: ", message)
	}
	c.Eventually(60*time.Second, "true", func() string {
		return yes(strings.Contains(c.Kubectl("events", "--for", "pod/otherruntime"), `Failed to create pod sandbox: rpc error: code = Unknown desc = unable to get OCI runtime for sandbox: no runtime for "nothere" is configured`))
	})
	same(t, "overhead", c.Ask("get", "pod", "otherruntime", "-o", "jsonpath={.spec.overhead.cpu} {.spec.overhead.memory}"), "20m 8Mi")
	c.Kubectl("delete", "runtimeclass", "pod-security-other")
	c.Eventually(60*time.Second, "true", func() string {
		return yes(strings.Contains(c.Kubectl("events", "--for", "pod/otherruntime"), `Failed to create pod sandbox: runtimeclass.node.k8s.io "pod-security-other" not found`))
	})
	c.Eventually(60*time.Second, "Failed SysctlForbidden", func() string {
		return c.Kubectl("get", "pod", "sysctl", "-o", "jsonpath={.status.phase} {.status.reason}")
	})
	says(t, "describe", c.Ask("describe", "pod", "sysctl"), `Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted`)
	// One event with a count, however often it was tried.
	c.Eventually(60*time.Second, "1 true", func() string {
		counts := strings.Fields(c.Kubectl("get", "events", "--field-selector", "involvedObject.name=root,reason=Failed", "-o", "jsonpath={.items[*].count}"))
		return fmt.Sprint(len(counts), " ", len(counts) > 0 && counts[0] != "1")
	})
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
	groupsOfTheImage(t, c)
}

// A port of the node leads to the pod that asked for it: from the node, from
// other pods and from the pod itself, until the pod is gone.
func portsOfTheNode(t *testing.T, c *cluster.Cluster) {
	serve := func(name, ports string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: " + nginxName + ", ports: [" + ports + "]}]}\n"
	}
	node := c.Kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")
	c.Apply(serve("server", "{containerPort: 80, hostPort: 18081}, {name: b, containerPort: 80, hostPort: 18082, hostIP: "+node+"}, {name: l, containerPort: 80, hostPort: 18083, hostIP: 127.0.0.1}") + "---\n" + shell("client", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/server", "pod/client", "--timeout=150s")
	// One port of the node belongs to one pod.
	c.Apply(serve("second", "{containerPort: 80, hostPort: 18081}"))
	from := func(pod, port string) string {
		out, _ := c.Try("exec", pod, "--", "curl", "-s", "-o", "/dev/null", "-m", "3", "-w", "%{http_code}", "http://"+net.JoinHostPort(node, port)+"/")
		return out[:min(3, len(out))]
	}
	web := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.Host.Dial}}
	fromNode := func(ip, port string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(ip, port)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := web.Do(r)
		if err != nil {
			return "000"
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return fmt.Sprint(answer.StatusCode)
	}
	for _, port := range []string{"18081", "18082"} {
		same(t, "from another pod", from("client", port), "200")
		same(t, "from the pod itself", from("server", port), "200")
		same(t, "from the node", fromNode(node, port), "200")
	}
	// The node's loopback leads there as well; a port of it alone is nobody else's.
	same(t, "from the node by its loopback", fromNode("127.0.0.1", "18081"), "200")
	same(t, "a port of the loopback", fromNode("127.0.0.1", "18083"), "200")
	same(t, "the same by the node's address", fromNode(node, "18083"), "000")
	same(t, "another pod's loopback", c.Kubectl("exec", "client", "--", "sh", "-c", "curl -s -o /dev/null -m 3 http://127.0.0.1:18083/ || echo refused"), "refused")
	c.Eventually(60*time.Second, "true", func() string {
		return yes(strings.Contains(c.Kubectl("describe", "pod", "second"), "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."))
	})
	c.Kubectl("delete", "pod", "server", "--timeout=150s")
	c.Eventually(60*time.Second, "000", func() string { return from("client", "18082") })
	// The one that waited gets the port.
	c.Kubectl("wait", "--for=condition=Ready", "pod/second", "--timeout=150s")
	same(t, "the next pod on that port", from("client", "18081"), "200")
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
	if conn, err := c.Host.Dial(context.WithoutCancel(t.Context()), "tcp", net.JoinHostPort(node, "18081")); err == nil {
		_ = conn.Close()
		t.Error("a port of a pod that is gone is still answered")
	}
}
