package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A pod knows who it is: its token reads the API by the service's name, DNS and
// files say its name.
func podIdentity(t *testing.T, c *cluster.Cluster) {
	c.Kubectl("create", "rolebinding", "read", "--clusterrole=view", "--serviceaccount=identity:default")
	c.Apply(shell("me", forever, `      env:
        - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: BOTH, value: "$(IP) on $(NODE) $$(IP)"}
        - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
      resources: {limits: {cpu: 500m, memory: 64Mi}}
`))
	c.Kubectl("wait", "--for=condition=Ready", "pod/me", "--timeout=150s")
	sh := func(script string) string { return c.Kubectl("exec", "me", "--", "sh", "-c", script) }
	address := c.Kubectl("get", "pod", "me", "-o", "jsonpath={.status.podIP}")
	const api = `T=/var/run/secrets/kubernetes.io/serviceaccount; curl -s --cacert $T/ca.crt -H "Authorization: Bearer $(cat $T/token)" https://kubernetes.default.svc`
	says(t, "own namespace", sh(api+`/api/v1/namespaces/$(cat $T/namespace)/pods/me`), `"kind": "Pod"`, `"podIP": "`+address+`"`)
	says(t, "another namespace", sh(api+`/api/v1/namespaces/default/pods`), `User \"system:serviceaccount:identity:default\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"`)
	says(t, "resolv.conf", sh("cat /etc/resolv.conf"), "nameserver 10.43.0.10", "search identity.svc.cluster.local svc.cluster.local cluster.local", "options ndots:5")
	says(t, "hosts", sh("cat /etc/hosts"), "# Kubernetes-managed hosts file.", address+"\tme")
	same(t, "hostname", sh("hostname"), "me")
	same(t, "environment", sh("echo $BOTH $CPU $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"), address+" on shared $(IP) 500 10.43.0.1:443")
	same(t, "QoS class", c.Ask("get", "pod", "me", "-o", "jsonpath={.status.qosClass}"), "Guaranteed")
}

// A container that fails its liveness probe is restarted in the same pod; one
// that keeps ending waits longer and longer.
func livenessAndCrashes(t *testing.T, c *cluster.Cluster) {
	c.Apply(shell("live", "touch /tmp/ok; "+forever, "      livenessProbe: {exec: {command: [cat, /tmp/ok]}, periodSeconds: 1, failureThreshold: 2}\n"))
	c.Apply(shell("crash", "echo run; exit 3", ""))
	c.Apply(shell("once", "exit 3", "  restartPolicy: Never\n"))
	c.Apply(shell("done", "exit 0", "  restartPolicy: OnFailure\n"))
	c.Apply(strings.Replace(shell("nocommand", "", ""), "[sh, -c, '']", "[nope]", 1))
	c.Apply(shell("noconfig", forever, "      envFrom: [{configMapRef: {name: nope}}]\n"))
	c.Apply(shell("novolume", forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, secret: {secretName: nope}}]\n"))
	c.Apply(shell("big", forever, "      resources: {requests: {cpu: 99}}\n"))

	c.Kubectl("wait", "--for=condition=Ready", "pod/live", "--timeout=150s")
	address := c.Kubectl("get", "pod", "live", "-o", "jsonpath={.status.podIP} {.metadata.uid}")
	c.Kubectl("exec", "live", "--", "rm", "/tmp/ok")
	c.Eventually(60*time.Second, "1 true", func() string {
		return c.Kubectl("get", "pod", "live", "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}")
	})
	same(t, "address after a restart", c.Ask("get", "pod", "live", "-o", "jsonpath={.status.podIP} {.metadata.uid}"), address)
	says(t, "describe pod live", c.Ask("describe", "pod", "live"), "Liveness probe failed: cat: /tmp/ok: No such file or directory", "Container c failed liveness probe, will be restarted", "Restart Count:  1", "Last State:     Terminated")

	c.Eventually(60*time.Second, "CrashLoopBackOff", waiting(c, "crash"))
	c.Eventually(60*time.Second, "CrashLoopBackOff", waiting(c, "nocommand"))
	uid := func(pod string) string { return c.Kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}") }
	says(t, "describe pod crash", c.Ask("describe", "pod", "crash"), "Reason:       CrashLoopBackOff", "Exit Code:    3", "Back-off restarting failed container c in pod crash_liveness("+uid("crash")+")")
	matches(t, "message", c.Ask("get", "pod", "crash", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"), `back-off [0-9]+s restarting failed container=c pod=crash_liveness\(`+uid("crash")+`\)`)
	says(t, "describe pod nocommand", c.Ask("describe", "pod", "nocommand"), "Reason:       StartError", "Exit Code:    128", `exec: "nope": executable file not found in $PATH`)
	for pod, row := range map[string]string{
		"once":     "once +0/1 +Error +0 +.*",
		"done":     "done +0/1 +Completed +0 +.*",
		"noconfig": "noconfig +0/1 +CreateContainerConfigError +0 +.*",
		"novolume": "novolume +0/1 +ContainerCreating +0 +.*",
		"big":      "big +0/1 +Pending +0 +.*",
	} {
		matches(t, "row", c.Ask("get", "pod", pod, "--no-headers"), row)
	}
	same(t, "phases", c.Ask("get", "pod", "once", "done", "-o", "jsonpath={.items[*].status.phase}"), "Failed Succeeded")
	says(t, "describe pod noconfig", c.Ask("describe", "pod", "noconfig"), `Error: configmap "nope" not found`)
	says(t, "describe pod novolume", c.Ask("describe", "pod", "novolume"), `MountVolume.SetUp failed for volume "v" : secret "nope" not found`)
	says(t, "describe pod big", c.Ask("describe", "pod", "big"), "0/1 nodes are available: 1 Insufficient cpu.")
	// What was missing comes: both start.
	c.Kubectl("create", "configmap", "nope")
	c.Kubectl("create", "secret", "generic", "nope")
	c.Kubectl("wait", "--for=condition=Ready", "pod/noconfig", "pod/novolume", "--timeout=150s")
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}

// Only ready pods get a service's packets.
func readinessAndEndpoints(t *testing.T, c *cluster.Cluster) {
	page := `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: ` + nginxName + `
          readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`
	c.Apply(page)
	c.Apply(shell("client", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=150s")
	c.Eventually(60*time.Second, "Running Running", func() string {
		return c.Kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.phase}")
	})
	ready := func() string {
		names := strings.Fields(c.Kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", `jsonpath={range .items[*].endpoints[?(@.conditions.ready==true)]}{.targetRef.name} {end}`))
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	fetch := func() string {
		out, _ := c.Try("exec", "client", "--", "curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", "http://web/")
		return out[:min(3, len(out))]
	}
	same(t, "ready endpoints", ready(), "")
	same(t, "answer without an endpoint", fetch(), "000")
	for i, want := range []string{"web-0", "web-0 web-1"} {
		pod := fmt.Sprint("web-", i)
		c.Kubectl("exec", pod, "--", "sh", "-c", "echo $(hostname) > /usr/share/nginx/html/index.html; touch /tmp/ready")
		c.Eventually(60*time.Second, want, ready)
	}
	c.Eventually(60*time.Second, "200", fetch)
	same(t, "who answers", c.Ask("exec", "client", "--", "sh", "-c", "for i in $(seq 40); do curl -s http://web/; done | sort -u | tr '\\n' ' '"), "web-0 web-1")
	c.Kubectl("exec", "web-0", "--", "rm", "/tmp/ready")
	c.Eventually(60*time.Second, "web-1", ready)
	c.Eventually(60*time.Second, "web-1", func() string {
		return c.Kubectl("exec", "client", "--", "sh", "-c", "for i in $(seq 40); do curl -s http://web/; done | sort -u")
	})
	matches(t, "row", c.Ask("get", "pod", "web-0", "--no-headers"), `web-0 +0/1 +Running +0 +.*`)
	says(t, "describe", c.Ask("describe", "pod", "web-0"), "Readiness probe failed:")
	c.Kubectl("delete", "sts,svc", "web")
	c.Kubectl("delete", "pod", "client")
}

// Files from configMaps, secrets, the pod's own facts, its node and itself.
func volumesOfPods(t *testing.T, c *cluster.Cluster) {
	onNode := c.Path("on-node")
	c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a.txt: one, b.txt: two}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {pass: hunter2}
---
apiVersion: v1
kind: Pod
metadata: {name: v, labels: {app: v}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers: [{name: init, image: ` + nginxName + `, command: [sh, -c, "echo from init > /e/f"], volumeMounts: [{name: e, mountPath: /e}]}]
  containers:
    - name: c
      image: ` + nginxName + `
      command: [sh, -c, ` + quote(forever) + `]
      envFrom: [{secretRef: {name: sec}, prefix: S_}]
      volumeMounts:
        - {name: conf, mountPath: /conf}
        - {name: sec, mountPath: /sec}
        - {name: e, mountPath: /e}
        - {name: mem, mountPath: /mem}
        - {name: h, mountPath: /h}
        - {name: conf, mountPath: /sub.txt, subPath: a.txt}
        - {name: down, mountPath: /down}
        - {name: all, mountPath: /all}
  volumes:
    - {name: conf, configMap: {name: conf, defaultMode: 0440}}
    - {name: sec, secret: {secretName: sec, items: [{key: pass, path: deep/pw, mode: 0400}]}}
    - {name: e, emptyDir: {}}
    - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
    - {name: h, hostPath: {path: ` + onNode + `, type: DirectoryOrCreate}}
    - {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
    - {name: all, projected: {sources: [{configMap: {name: conf}}, {secret: {name: sec}}]}}
`)
	c.Kubectl("wait", "--for=condition=Ready", "pod/v", "--timeout=150s")
	sh := func(script string) string {
		return c.Kubectl("exec", "v", "-c", "c", "--", "sh", "-c", script)
	}
	same(t, "files", sh("cat /conf/a.txt; echo; cat /sec/deep/pw; echo; cat /sub.txt; echo; cat /e/f /down/labels; echo; ls /all; echo $S_pass"),
		"one\nhunter2\none\nfrom init\napp=\"v\"\na.txt\nb.txt\npass\nhunter2")
	same(t, "modes", sh("stat -L -c %a /conf/a.txt /sec/deep/pw"), "440\n400")
	same(t, "what the volumes are", sh("stat -f -c %T /mem /sec"), "tmpfs\ntmpfs")
	same(t, "size limit", sh("df -k --output=size /mem | tail -1 | tr -d ' '"), "1024")
	says(t, "a write to a configMap", c.Refused("exec", "v", "-c", "c", "--", "touch", "/conf/no"), "Read-only file system")
	sh("echo from pod > /h/f")
	if got, err := os.ReadFile(onNode + "/f"); err != nil || string(got) != "from pod\n" {
		t.Errorf("on the node: %q, %v", got, err)
	}

	// A change arrives in the files of the running pod, but not in a subPath.
	c.Kubectl("patch", "configmap", "conf", "-p", `{"data":{"a.txt":"uno","b.txt":null,"c.txt":"tre"}}`)
	c.Eventually(60*time.Second, "uno tre a.txt c.txt", func() string { return sh("echo $(cat /conf/a.txt) $(cat /conf/c.txt 2>/dev/null) $(ls /conf)") })
	same(t, "subPath", sh("cat /sub.txt"), "one")
	c.Kubectl("label", "pod", "v", "more=yes")
	c.Eventually(60*time.Second, "app=\"v\"\nmore=\"yes\"", func() string { return sh("cat /down/labels") })

	// A container that ends comes back with its files and its address.
	address := c.Kubectl("get", "pod", "v", "-o", "jsonpath={.status.podIP}")
	c.ExecLast("v", "-c", "c", "--", "sh", "-c", "echo kept > /e/g; echo gone > /tmp/g; kill 1")
	c.Eventually(60*time.Second, "1 true", func() string {
		return c.Kubectl("get", "pod", "v", "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}")
	})
	same(t, "after a restart", sh("cat /e/g; ls /tmp"), "kept")
	same(t, "address", c.Ask("get", "pod", "v", "-o", "jsonpath={.status.podIP}"), address)
	uid := c.Kubectl("get", "pod", "v", "-o", "jsonpath={.metadata.uid}")
	c.Kubectl("delete", "pod", "v")
	c.Eventually(60*time.Second, "", func() string {
		out, _ := c.Host.Run(t.Context(), "sh", "-c", "grep "+uid+" /proc/mounts; ls -d "+c.Data+"/kubelet/pods/"+uid+" 2>/dev/null")
		return out
	})
	if _, err := os.Stat(onNode + "/f"); err != nil {
		t.Errorf("the file on the node: %v", err)
	}
}
