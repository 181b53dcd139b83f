package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Looking into what runs: a container put beside it, a copy of it, its node, and
// what it uses.
func debugging(t *testing.T, c *cluster.Cluster) {
	c.Apply(shell("web", "echo mine > /tmp/mine; "+forever, `      volumeMounts: [{name: e, mountPath: /e}, {name: data, mountPath: /data}]
  volumes: [{name: e, emptyDir: {}}, {name: data, persistentVolumeClaim: {claimName: web-data}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: web-data}
spec: {resources: {requests: {storage: 8Mi}}, accessModes: [ReadWriteOnce]}
`))
	c.Kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=150s")
	c.Kubectl("debug", "web", "--image="+nginxName, "--target=c", "--container=look", "--profile=general", "--",
		"sh", "-c", "cat /proc/1/root/tmp/mine; echo looked; while :; do sleep 0.1; done")
	c.Eventually(60*time.Second, "mine\nlooked", func() string { out, _ := c.Try("logs", "web", "-c", "look"); return strings.TrimSpace(out) })
	says(t, "describe", c.Ask("describe", "pod", "web"), "Ephemeral Containers:", "  look:", "spec.ephemeralContainers{look}: Container started")
	same(t, "restarts", c.Ask("get", "pod", "web", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"), "0")
	// A volume that no container had mounted before is there too.
	c.Kubectl("patch", "pod", "web", "--subresource=ephemeralcontainers", "-p",
		`{"spec":{"ephemeralContainers":[{"name":"more","image":"`+nginxName+`","command":["sh","-c","echo x > /e/f && echo wrote"],"volumeMounts":[{"name":"e","mountPath":"/e"}]}]}}`)
	c.Eventually(60*time.Second, "wrote", func() string { out, _ := c.Try("logs", "web", "-c", "more"); return strings.TrimSpace(out) })
	same(t, "seen by the other", c.Kubectl("exec", "web", "-c", "c", "--", "cat", "/e/f"), "x")

	c.Kubectl("debug", "web", "--copy-to=copy", "--container=c", "--image="+nginxName, "--", "sh", "-c", "echo a copy; sleep 100")
	c.Eventually(60*time.Second, "a copy", func() string { out, _ := c.Try("logs", "copy", "-c", "c"); return strings.TrimSpace(out) })

	made := c.Kubectl("debug", "node/"+c.Host.Name, "--image="+nginxName, "--profile=general", "--", "sh", "-c", "ls -d /host/etc/passwd")
	pod := strings.Fields(made[strings.Index(made, "node-debugger-"):])[0]
	c.Eventually(60*time.Second, "/host/etc/passwd", func() string { out, _ := c.Try("logs", pod); return strings.TrimSpace(out) })

	raw := func(path string) string {
		return c.Kubectl("get", "--raw", "/api/v1/nodes/"+c.Host.Name+"/proxy/"+path)
	}
	says(t, "/metrics/resource", func() string { return raw("metrics/resource") }, `container_memory_working_set_bytes{container="c",namespace="debugging",pod="web"}`, "node_cpu_usage_seconds_total")
	says(t, "/stats/summary", func() string { return raw("stats/summary") }, `"nodeName":"shared"`, `"name":"web"`, `"usageCoreNanoSeconds":`)
	// Files of the node, the images, the pod, its container and its volumes.
	says(t, "/stats/summary", func() string { return raw("stats/summary") }, `"fs":{"time"`, `"imageFs":{"time"`, `"rootfs":{"time"`, `"logs":{"time"`,
		`"name":"e"}`, `"name":"data","pvcRef":{"name":"web-data","namespace":"debugging"}`, `"ephemeral-storage":{"time"`)
	says(t, "/stats/summary", func() string { return raw("stats/summary") }, `"network":{"time"`, `"name":"eth0","rxBytes":`)
	// What Prometheus' charts scrape: of containers by image (one of its names: other
	// stories give the same one others) and name, of pods by interface.
	c.Kubectl("exec", "web", "-c", "c", "--", "sh", "-c", "curl -s -m 5 http://kubernetes.default.svc/ >/dev/null; true")
	says(t, "/metrics/cadvisor", func() string {
		return strings.Join(regexp.MustCompile(`(?m)^container_(cpu_usage_seconds_total\{.*image="[^"]+".*|network_transmit_packets_total\{.*)namespace="debugging",pod="web"\} [1-9.0]+ `).FindAllString(raw("metrics/cadvisor"), -1), "\n")
	}, `container="c",cpu="total"`, `interface="eth0"`)
	says(t, "/metrics", func() string { return raw("metrics") }, `kubelet_volume_stats_used_bytes{namespace="debugging",persistentvolumeclaim="web-data"} `,
		`kubelet_volume_stats_inodes_free{namespace="debugging",persistentvolumeclaim="web-data"} `)
	// A pod with the right to it asks the node itself, as Prometheus does.
	c.Kubectl("create", "clusterrole", "debugging-metrics", "--verb=get", "--resource=nodes/metrics")
	c.Kubectl("create", "clusterrolebinding", "debugging-metrics", "--clusterrole=debugging-metrics", "--serviceaccount=debugging:default")
	itself := func(path string) func() string {
		return c.Ask("exec", "web", "-c", "c", "--", "sh", "-c",
			`curl -sk -H "Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)" https://`+c.Host.Addr+":10250/"+path)
	}
	says(t, "the node's /metrics", itself("metrics"), "kubelet_running_pods ")
	says(t, "the node's /pods", itself("pods"), "Forbidden (user=system:serviceaccount:debugging:default, verb=get, resource=nodes, subresource(s)=[pods proxy])")
	c.Kubectl("delete", "clusterrole,clusterrolebinding", "debugging-metrics")
	c.Eventually(60*time.Second, "true", func() string {
		out, err := c.Try("top", "pod", "web")
		if err != nil {
			return out
		}
		return yesOrNo(matched(`(?s)NAME +CPU\(cores\) +MEMORY\(bytes\)\s+web +\d+m +\d+Mi`, out))
	})
	c.Kubectl("delete", "pods", "--all", "--now")
	c.Kubectl("delete", "pvc", "web-data")
}

func yesOrNo(yes bool) string {
	if yes {
		return "true"
	}
	return "false"
}
