package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Whose name, hosts, resolver and namespaces a pod has.
func namesAndNamespacesOfPods(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: named}
spec:
  terminationGracePeriodSeconds: 1
  hostname: box
  subdomain: sub
  setHostnameAsFQDN: true
  shareProcessNamespace: true
  hostAliases: [{ip: 192.0.2.7, hostnames: [one.test, two.test]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [10.43.0.10], searches: [example.test], options: [{name: ndots, value: "2"}, {name: edns0}]}
  containers:
    - {name: a, image: ` + nginxName + `, workingDir: /usr, command: [sh, -c], args: [` + quote("pwd > /tmp/where; "+forever) + `]}
    - {name: b, image: ` + nginxName + `, command: [sh, -c, ` + quote(forever) + `]}
---
apiVersion: v1
kind: Pod
metadata: {name: ofhost}
spec:
  terminationGracePeriodSeconds: 1
  hostNetwork: true
  hostPID: true
  hostIPC: true
  dnsPolicy: ClusterFirstWithHostNet
  hostAliases: [{ip: 192.0.2.8, hostnames: [three.test]}]
  containers: [{name: c, image: ` + nginxName + `, command: [sh, -c, ` + quote(forever) + `]}]
---
apiVersion: v1
kind: Pod
metadata: {name: resolver}
spec:
  terminationGracePeriodSeconds: 1
  dnsPolicy: Default
  dnsConfig: {searches: [more.test]}
  containers: [{name: c, image: ` + nginxName + `, command: [sh, -c, ` + quote(forever) + `]}]
`)
	c.Apply(strings.Replace(shell("long", forever, "  setHostnameAsFQDN: true\n  subdomain: sub\n"), "terminationGrace", "hostname: "+strings.Repeat("x", 50)+"\n  terminationGrace", 1))
	c.Kubectl("wait", "--for=condition=Ready", "pod/named", "pod/ofhost", "pod/resolver", "--timeout=150s")
	in := func(pod, container, script string) string {
		return c.Kubectl("exec", pod, "-c", container, "--", "sh", "-c", script)
	}
	ip := c.Kubectl("get", "pod", "named", "-o", "jsonpath={.status.podIP}")
	same(t, "hostname", func() string { return in("named", "a", "hostname; cat /tmp/where") }, "box.sub.pod-names.svc.cluster.local\n/usr")
	says(t, "hosts", in("named", "b", "cat /etc/hosts"), ip+"\tbox.sub.pod-names.svc.cluster.local\tbox\n", "# Entries added by HostAliases.\n192.0.2.7\tone.test\ttwo.test")
	same(t, "resolv.conf", in("named", "a", "cat /etc/resolv.conf"), "search example.test\nnameserver 10.43.0.10\noptions ndots:2 edns0")
	// Each sees the other's processes, and process 1 is the sandbox's.
	says(t, "what pause may do", in("named", "b", "cat /proc/1/status"), "Seccomp:\t2")
	says(t, "shared processes", in("named", "b", `tr '\0' ' ' </proc/1/cmdline; cat /proc/[0-9]*/cmdline | tr '\0' ' '`), "/pause ", "sh -c pwd > /tmp/where;")

	node := c.Kubectl("get", "pod", "ofhost", "-o", "jsonpath={.status.hostIP}")
	same(t, "address of a pod on the host's network", c.Ask("get", "pod", "ofhost", "-o", "jsonpath={.status.podIP} {.status.podIPs[0].ip}"), node+" "+node)
	const spaces = "readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/ipc"
	same(t, "namespaces of the host", in("ofhost", "c", spaces), c.Host.MustRun(t.Context(), "sh", "-c", spaces))
	says(t, "hosts on the host's network", in("ofhost", "c", "cat /etc/hosts"), "# Kubernetes-managed hosts file (host network).\n", "192.0.2.8\tthree.test")
	says(t, "resolv.conf with ClusterFirstWithHostNet", in("ofhost", "c", "cat /etc/resolv.conf"), "nameserver 10.43.0.10\n", "search pod-names.svc.cluster.local ")
	if own := in("resolver", "c", "cat /etc/resolv.conf"); strings.Contains(own, "10.43.0.10") || strings.Contains(own, "svc.cluster.local") || !strings.Contains(own, "more.test") {
		t.Errorf("resolv.conf with the node's policy and a search path of its own:\n%s", own)
	}
	c.Eventually(60*time.Second, "true", func() string {
		_, events, _ := strings.Cut(c.Kubectl("describe", "pod", "long"), "Events:")
		return yes(strings.Contains(events, "Failed to create pod sandbox: failed to construct FQDN from pod hostname and cluster domain, FQDN "+
			strings.Repeat("x", 50)+".sub.pod-names.svc.cluster.local is too long (64 characters is the max, 82 characters requested)"))
	})
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// Init containers, sidecars and regular ones begin and end in order. What each
// does is written to one file on the node.
func orderOfContainers(t *testing.T, c *cluster.Cluster) {
	book := c.Path("book")
	container := func(name, script, more string) string {
		return `    - {name: ` + name + `, image: ` + nginxName + `, command: [sh, -c, ` + quote(script) + `], volumeMounts: [{name: book, mountPath: /book}]` + more + "}\n"
	}
	stays := func(name string) string {
		return "echo " + name + " begins >>/book/log; trap 'echo " + name + " ends >>/book/log; exit 0' TERM; while :; do sleep 0.05; done"
	}
	pod := func(name, policy, body string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n  terminationGracePeriodSeconds: 20\n  restartPolicy: " + policy +
			"\n  volumes: [{name: book, hostPath: {path: " + book + "/" + name + ", type: DirectoryOrCreate}}]\n" + body
	}
	const always = ", restartPolicy: Always"
	hook := `, lifecycle: {postStart: {exec: {command: [sh, -c, "sleep 0.2; echo main greeted >>/book/log"]}}, preStop: {exec: {command: [sh, -c, "echo main asked >>/book/log; until test -e /book/other; do sleep 0.05; done"]}}}`
	c.Apply(pod("order", "Always", "  initContainers:\n"+
		container("first", "sleep 0.2; echo first done >>/book/log", "")+
		container("side", "sleep 0.3; touch /tmp/up; "+stays("side"), always+", startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1}")+
		container("other", stays("other"), always+`, lifecycle: {preStop: {exec: {command: [sh, -c, "echo other asked >>/book/log; touch /book/other"]}}}`)+
		container("last", "echo last done >>/book/log", "")+
		"  containers:\n"+
		container("main", stays("main"), hook)+
		container("second", stays("second"), "")) +
		pod("job", "Never", "  initContainers:\n"+container("side", stays("side"), always)+"  containers:\n"+container("main", "sleep 0.5; echo main done >>/book/log", "")) +
		pod("broken", "Never", "  initContainers:\n"+container("bad", "echo no disk; exit 9", "")+"  containers:\n"+container("main", stays("main"), "")))
	read := func(pod string) string {
		text, _ := os.ReadFile(book + "/" + pod + "/log")
		return string(text)
	}
	c.Kubectl("wait", "--for=condition=Ready", "pod/order", "--timeout=150s")
	same(t, "beginnings", func() string { return read("order") }, "first done\nside begins\nother begins\nlast done\nmain begins\nmain greeted\nsecond begins")

	c.Kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/job", "--timeout=150s")
	c.Eventually(60*time.Second, "side begins\nmain done\nside ends\n", func() string { return read("job") })
	same(t, "conditions of a completed pod", conditions(c, "job"), "PodReadyToStartContainers=False Initialized=True/PodCompleted Ready=False/PodCompleted ContainersReady=False/PodCompleted PodScheduled=True")
	c.Kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/broken", "--timeout=150s")
	same(t, "log of an init container", c.Ask("logs", "broken", "bad"), "no disk")
	matches(t, "row of a pod whose init container failed", c.Ask("get", "pod", "broken", "--no-headers"), `broken +0/1 +Init:Error +0 +.*`)

	// A sidecar that ends is run again; nobody else notices.
	others := func() string {
		return c.Kubectl("get", "pod", "order", "-o", "jsonpath={.status.containerStatuses[*].containerID} {.status.initContainerStatuses[2].containerID}")
	}
	before := others()
	c.ExecLast("order", "-c", "side", "--", "sh", "-c", "kill 1")
	c.Eventually(60*time.Second, "1 true true", func() string {
		return c.Kubectl("get", "pod", "order", "-o", "jsonpath={.status.initContainerStatuses[1].restartCount} {.status.initContainerStatuses[1].started} {.status.initContainerStatuses[1].ready}")
	})
	same(t, "the other containers", others(), before)

	c.Kubectl("delete", "pod", "order", "--timeout=150s")
	_, end, _ := strings.Cut(read("order"), "side ends\nside begins\n")
	ends := strings.Split(strings.TrimSpace(end), "\n")
	// All hooks begin together, a sidecar's before its turn to stop: main's waits for it.
	at := func(what string) int { return slices.Index(ends, what) }
	if len(ends) != 6 || strings.Join(ends[4:], ", ") != "other ends, side ends" || at("main asked") < 0 || at("other asked") < 0 ||
		at("main asked") > at("main ends") || at("other asked") > at("main ends") || at("second ends") < 0 {
		t.Errorf("the containers ended in this order: %q", ends)
	}
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}

// conditions are a pod's, in short.
func conditions(c *cluster.Cluster, pod string) string {
	out := c.Kubectl("get", "pod", pod, "-o", `jsonpath={range .status.conditions[*]}{.type}={.status}/{.reason} {end}`)
	return strings.TrimSpace(strings.ReplaceAll(out+" ", "/ ", " "))
}

// A sidecar asks for all containers to begin again: also what had succeeded, in
// the same sandbox, with the same volumes, although nothing else is retried.
func restartedAsAWhole(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: whole}
spec:
  terminationGracePeriodSeconds: 600
  restartPolicy: Never
  initContainers:
    - {name: setup, image: ` + nginxName + `, command: [sh, -c, "echo setup >> /on-node/log"], volumeMounts: [{name: v, mountPath: /on-node}]}
    - name: watcher
      image: ` + nginxName + `
      restartPolicy: Always
      restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [88]}}]
      command: [sh, -c, "trap 'exit 0' TERM; until test -e /on-node/main && test -e /on-node/once; do sleep 0.1; done; test -e /on-node/asked || { touch /on-node/asked; exit 88; }; while :; do sleep 0.1; done"]
      volumeMounts: [{name: v, mountPath: /on-node}]
  containers:
    # It would never end by itself, and its hook neither.
    - name: main
      image: ` + nginxName + `
      command: [sh, -c, "echo main >> /on-node/log; touch /on-node/main; trap : TERM; while :; do sleep 0.1; done"]
      lifecycle: {preStop: {exec: {command: [sh, -c, "echo hook >> /on-node/log; sleep 500"]}}}
      volumeMounts: [{name: v, mountPath: /on-node}]
    - {name: once, image: ` + nginxName + `, command: [sh, -c, "echo once >> /on-node/log; touch /on-node/once"], volumeMounts: [{name: v, mountPath: /on-node}]}
  volumes: [{name: v, emptyDir: {}}]
`)
	c.Eventually(90*time.Second, "setup:1 watcher:1 main:1 once:1 main", func() string {
		return c.Kubectl("get", "pod", "whole", "-o", `jsonpath={range .status.initContainerStatuses[*]}{.name}:{.restartCount} {end}{range .status.containerStatuses[*]}{.name}:{.restartCount} {end}{.status.containerStatuses[?(@.state.running)].name}`)
	})
	same(t, "of all that ran", func() string {
		return c.Kubectl("exec", "whole", "-c", "main", "--", "sh", "-c", "sort /on-node/log | uniq -c | tr -s ' \n' ' '")
	}, "2 main 2 once 2 setup")
	same(t, "condition", c.Ask("get", "pod", "whole", "-o", `jsonpath={.status.conditions[?(@.type=="AllContainersRestarting")].status}`), "False")
	same(t, "sandboxes", c.Ask("get", "events", "--field-selector", "involvedObject.name=whole,reason=FailedCreatePodSandBox", "-o", "name"), "")
	c.Kubectl("delete", "pod", "whole", "--now", "--timeout=150s")
}

// How a container that ends goes on: policies and rules, of the pod and of its
// own; deadlines, gates and last words.
func restartsAndEnds(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: rules}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers:
    - name: again
      image: ` + nginxName + `
      restartPolicy: Never
      restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]
      command: [sh, -c, "test -e /on-node/x && exit 3; touch /on-node/x; exit 42"]
      volumeMounts: [{name: v, mountPath: /on-node}]
    - {name: never, image: ` + nginxName + `, restartPolicy: Never, command: [sh, -c, "exit 4"]}
    - {name: onfail, image: ` + nginxName + `, restartPolicy: OnFailure, command: [sh, -c, "test -e /on-node/y && exit 0; touch /on-node/y; exit 1"], volumeMounts: [{name: v, mountPath: /on-node}]}
  volumes: [{name: v, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: words}
spec:
  restartPolicy: Never
  containers:
    - {name: file, image: ` + nginxName + `, terminationMessagePath: /dev/last, command: [sh, -c, "echo -n my last words > /dev/last; exit 1"]}
    - {name: log, image: ` + nginxName + `, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "echo one; echo two; exit 1"]}
    - {name: good, image: ` + nginxName + `, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "echo one"]}
---
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  terminationGracePeriodSeconds: 1
  activeDeadlineSeconds: 2
  containers: [{name: c, image: ` + nginxName + `, command: [sh, -c, ` + quote(forever) + `]}]
---
apiVersion: v1
kind: Pod
metadata: {name: gated}
spec:
  terminationGracePeriodSeconds: 1
  readinessGates: [{conditionType: example.test/open}]
  containers: [{name: c, image: ` + nginxName + `, command: [sh, -c, ` + quote(forever) + `]}]
`)
	c.Kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/rules", "pod/words", "pod/late", "--timeout=150s")
	ended := func(pod string) string {
		return c.Kubectl("get", "pod", pod, "-o", `jsonpath={range .status.containerStatuses[*]}{.name}:{.restartCount}:{.state.terminated.exitCode}:{.state.terminated.message}{"\n"}{end}`)
	}
	same(t, "ends by rules", ended("rules"), "again:1:3:\nnever:0:4:\nonfail:1:0:")
	restartedAsAWhole(t, c)
	same(t, "last words", ended("words"), "file:0:1:my last words\ngood:0:0:\nlog:0:1:one\ntwo\n")
	same(t, "past its deadline", c.Ask("get", "pod", "late", "-o", "jsonpath={.status.reason}: {.status.message}"), "DeadlineExceeded: Pod was active on the node longer than the specified deadline")

	c.Kubectl("wait", "--for=condition=ContainersReady", "pod/gated", "--timeout=150s")
	same(t, "a closed gate", c.Ask("get", "pod", "gated", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].reason}: {.status.conditions[?(@.type=="Ready")].message}`),
		`ReadinessGatesNotReady: corresponding condition of pod readiness gate "example.test/open" does not exist.`)
	c.Kubectl("patch", "pod", "gated", "--subresource=status", "-p", `{"status":{"conditions":[{"type":"example.test/open","status":"True"}]}}`)
	c.Kubectl("wait", "--for=condition=Ready", "pod/gated", "--timeout=150s")

	// An ephemeral container looks into the processes of another.
	c.Kubectl("debug", "gated", "--image="+nginxName, "--target=c", "-c", "look", "--", "sh", "-c", `tr '\0' ' ' </proc/1/cmdline; echo; sleep 60`)
	c.Eventually(60*time.Second, "sh -c "+forever+" \n", func() string {
		out, _ := c.Try("logs", "gated", "-c", "look")
		return out
	})
	same(t, "status of the ephemeral container", c.Ask("get", "pod", "gated", "-o", "jsonpath={.status.ephemeralContainerStatuses[0].name} {.status.ephemeralContainerStatuses[0].restartCount}"), "look 0")

	// Another image: the same pod, the same address, the other container untouched.
	identity := func() string {
		return c.Kubectl("get", "pod", "gated", "-o", "jsonpath={.metadata.uid} {.status.podIP}")
	}
	who := identity()
	c.Kubectl("set", "image", "pod/gated", "c=berth.dev/demo:1")
	c.Eventually(60*time.Second, "1 StartError", func() string { // the demo image has no shell
		return c.Kubectl("get", "pod", "gated", "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].lastState.terminated.reason}{.status.containerStatuses[0].state.terminated.reason}")
	})
	c.Kubectl("set", "image", "pod/gated", "c="+nginxName)
	c.Kubectl("wait", "--for=condition=Ready", "pod/gated", "--timeout=150s")
	same(t, "identity after another image", identity(), who)
	says(t, "events", c.Ask("events", "--for", "pod/gated"), "Container c definition changed, will be restarted")
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}

// The resources of a running pod change in place; a container that asked for it
// is restarted.
func resizedInPlace(t *testing.T, c *cluster.Cluster) {
	container := func(name, more string) string {
		return "    - {name: " + name + ", image: " + nginxName + ", command: [sh, -c, " + quote(forever) + "], resources: {requests: {cpu: 20m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}" + more + "}\n"
	}
	c.Apply("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n" +
		container("smooth", "") + container("strict", ", resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=150s")
	const limits = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max"
	in := func(container string) string {
		return strings.ReplaceAll(c.Kubectl("exec", "p", "-c", container, "--", "sh", "-c", limits), " 100000", "")
	}
	shown := func(i string) func() string {
		return func() string {
			status := "{.status.containerStatuses[" + i + "]"
			return c.Kubectl("get", "pod", "p", "-o", "jsonpath="+status+".resources.limits.cpu} "+status+".resources.limits.memory} "+status+".allocatedResources.cpu} "+status+".restartCount} "+status+".ready}")
		}
	}
	resize := func(name, resources string) {
		c.Kubectl("patch", "pod", "p", "--subresource=resize", "-p", `{"spec":{"containers":[{"name":"`+name+`","resources":`+resources+`}]}}`)
	}
	ids := "jsonpath={.status.containerStatuses[*].containerID}"
	before := strings.Fields(c.Kubectl("get", "pod", "p", "-o", ids))
	same(t, "limits at first", in("smooth"), "20000\n67108864")
	resize("smooth", `{"requests":{"cpu":"30m"},"limits":{"cpu":"300m","memory":"96Mi"}}`)
	c.Eventually(60*time.Second, "300m 96Mi 30m 0 true", shown("0"))
	same(t, "limits afterwards", in("smooth"), "30000\n100663296")
	resize("strict", `{"limits":{"cpu":"100m"}}`)
	c.Eventually(60*time.Second, "100m 64Mi 20m 0 true", shown("1"))
	same(t, "containers", strings.Join(strings.Fields(c.Kubectl("get", "pod", "p", "-o", ids)), " "), strings.Join(before, " "))
	resize("strict", `{"limits":{"memory":"80Mi"}}`)
	c.Eventually(60*time.Second, "100m 80Mi 20m 1 true", shown("1"))
	same(t, "limits after a restart", in("strict"), "10000\n83886080")
	same(t, "the container that was left alone", strings.Fields(c.Kubectl("get", "pod", "p", "-o", ids))[0], before[0])
	c.Eventually(60*time.Second, "PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True", func() string { return conditions(c, "p") })
	says(t, "events", c.Ask("events", "--for", "pod/p"), "Container strict resize requires restart",
		`Pod resize started: {"containers":[{"name":"smooth","resources":{"limits":{"cpu":"300m","memory":"96Mi"},"requests":{"cpu":"30m","memory":"32Mi"}}},`, "Pod resize completed: {")
	c.Kubectl("delete", "pod", "p", "--timeout=150s")
}
