package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A pod with every field that pods of the web's tutorials have at once: one
// volume of each of four sources, three probes with their timings, a class.
func everyFieldAtOnce(t *testing.T, c *cluster.Cluster) {
	c.Kubectl("create", "secret", "docker-registry", "default-dockercfg", "--docker-server=registry.test", "--docker-username=a", "--docker-password=b")
	c.Kubectl("create", "secret", "generic", "default-token", "--from-literal=token=secret")
	c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: nginx-conf}
data: {index.html: seed}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: pod-seed}
handler: runc
overhead: {podFixed: {cpu: 20m, memory: 8Mi}}
---
apiVersion: v1
kind: Pod
metadata:
  name: nginx
  labels: {app: nginx}
  annotations: {app: nginx}
spec:
  runtimeClassName: pod-seed
  containers:
  - name: nginx
    image: ` + nginxName + `
    imagePullPolicy: IfNotPresent
    command: [nginx, -g, "daemon off;"]
    workingDir: /usr/share/nginx/html
    volumeMounts:
    - {name: webroot, mountPath: /usr/share/nginx/html, readOnly: true}
    - {name: empty, mountPath: /empty}
    - {name: hosts, mountPath: /hosts, readOnly: true}
    - {name: token, mountPath: /token, readOnly: true}
    ports:
    - {name: http, containerPort: 80, protocol: TCP}
    env:
    - {name: TZ, value: Asia/Shanghai}
    - {name: LANG, value: en_US.utf8}
    resources:
      limits: {cpu: 1000m, memory: 1024Mi}
      requests: {cpu: 100m, memory: 512Mi}
    startupProbe: {tcpSocket: {port: http}, failureThreshold: 60, periodSeconds: 1}
    readinessProbe:
      httpGet: {path: /, port: 80, httpHeaders: [{name: end-user, value: jason}]}
      timeoutSeconds: 2
      initialDelaySeconds: 3
      successThreshold: 2
      periodSeconds: 1
    livenessProbe: {exec: {command: [cat, /usr/share/nginx/html/index.html]}, initialDelaySeconds: 2, timeoutSeconds: 30, periodSeconds: 5, failureThreshold: 3}
    securityContext: {privileged: false}
  restartPolicy: Always
  nodeSelector: {kubernetes.io/os: linux}
  imagePullSecrets: [{name: default-dockercfg}]
  hostNetwork: false
  volumes:
  - {name: webroot, configMap: {name: nginx-conf, defaultMode: 420}}
  - {name: empty, emptyDir: {}}
  - {name: hosts, hostPath: {path: /etc/hosts}}
  - {name: token, secret: {secretName: default-token, defaultMode: 420}}
`)
	c.Kubectl("wait", "--for=condition=Ready", "pod/nginx", "--timeout=150s")
	in := func(script string) string { return c.Kubectl("exec", "nginx", "--", "sh", "-c", script) }
	same(t, "folder and environment", in("pwd; echo $TZ $LANG"), "/usr/share/nginx/html\nAsia/Shanghai en_US.utf8")
	same(t, "volumes", in("cat index.html /token/token; touch new 2>/dev/null || echo refused; touch /empty/new && test -s /hosts && stat -Lc %a index.html /token/token"), "seedsecretrefused\n644\n644")
	// Both are the API's times, whole seconds.
	times := strings.Fields(c.Kubectl("get", "pod", "nginx", "-o", `jsonpath={.status.containerStatuses[0].state.running.startedAt} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}`))
	if from, to := moment(t, times[0]), moment(t, times[1]); to.Sub(from) < 3*time.Second {
		t.Errorf("Ready %s after the start, and the probe was to begin after 3s", to.Sub(from))
	}
	uid := c.Kubectl("get", "pod", "nginx", "-o", "jsonpath={.metadata.uid}")
	limit := c.Host.MustRun(t.Context(), "sh", "-c", "for d in $(find /sys/fs/cgroup -type d -name pod"+uid+"); do cat $d/memory.limit_in_bytes $d/memory.max 2>/dev/null; done; true")
	same(t, "memory of the pod with its overhead", strings.TrimSpace(limit), strconv.Itoa((1024+8)<<20))
	c.Kubectl("delete", "pod/nginx", "runtimeclass/pod-seed", "--timeout=150s")
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Probes that take too long, and that have to succeed more than once; a path that
// leads out of its volume; a pod that sees all of /proc; one that asks for more
// than the node has.
func limitsOfPods(t *testing.T, c *cluster.Cluster) {
	probe := func(name, script, more string) string {
		return "    - {name: " + name + ", image: " + nginxName + ", command: [sh, -c, " + quote(forever) + "], readinessProbe: {exec: {command: [sh, -c, " + quote(script) + "]}, periodSeconds: 1, " + more + "}}\n"
	}
	c.Apply("apiVersion: v1\nkind: Pod\nmetadata: {name: asked}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n" +
		probe("slow", "sleep 600", "timeoutSeconds: 1") + probe("thrice", "echo x >> /tmp/n", "timeoutSeconds: 60, successThreshold: 3") + "---\n" +
		strings.Replace(shell("out", forever, "      volumeMounts: [{name: v, mountPath: /x, subPath: away}]\n  volumes: [{name: v, emptyDir: {}}]\n"),
			"  containers:", "  initContainers: [{name: i, image: "+nginxName+", command: [ln, -s, /etc, /v/away], volumeMounts: [{name: v, mountPath: /v}]}]\n  containers:", 1) + "---" +
		strings.Replace(shell("bare", forever, "      securityContext: {procMount: Unmasked}\n"), "spec:", "spec:\n  hostUsers: false", 1) + "---" +
		shell("masked", forever, "      resources: {requests: {cpu: 10m}}\n"))

	ready := func(container string) func() string {
		return c.Ask("get", "pod", "asked", "-o", `jsonpath={.status.containerStatuses[?(@.name=="`+container+`")].ready}`)
	}
	c.Eventually(150*time.Second, "true", ready("thrice"))
	if n := strings.Count(c.Kubectl("exec", "asked", "-c", "thrice", "--", "cat", "/tmp/n"), "x"); n < 3 {
		t.Errorf("ready after %d successes, not 3", n)
	}
	says(t, "events", c.Ask("events", "--for", "pod/asked"), `Readiness probe failed: command timed out: "sh -c sleep 600" timed out after 1s`)
	same(t, "ready", ready("slow")(), "false")

	c.Eventually(150*time.Second, `CreateContainerConfigError failed to prepare subPath for volumeMount "v" of container "c"`,
		c.Ask("get", "pod", "out", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].state.waiting.message}"))

	c.Kubectl("wait", "--for=condition=Ready", "pod/bare", "pod/masked", "--timeout=150s")
	const covered = "while read -r _ at _; do case $at in /proc/*) echo $at;; esac; done </proc/self/mounts"
	same(t, "what is covered of /proc", c.Kubectl("exec", "bare", "--", "sh", "-c", covered), "")
	says(t, "what is covered in other pods", c.Kubectl("exec", "masked", "--", "sh", "-c", covered), "/proc/sys")

	resize := func(cpu string) {
		c.Kubectl("patch", "pod", "masked", "--subresource=resize", "-p", `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"`+cpu+`"}}}]}}`)
	}
	pending := c.Ask("get", "pod", "masked", "-o", `jsonpath={.status.conditions[?(@.type=="PodResizePending")].reason}={.status.containerStatuses[0].allocatedResources.cpu}`)
	resize("1000")
	c.Eventually(60*time.Second, "Infeasible=10m", pending)
	resize("15m")
	c.Eventually(60*time.Second, "=15m", pending)
	c.Kubectl("delete", "pod", "asked", "out", "bare", "masked", "--timeout=150s")
}
