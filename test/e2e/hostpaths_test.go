package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// foldersOfItsOwn hides the machine's own /var/lib and /var/log from a host.
func foldersOfItsOwn(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, dir := range []string{"/var/lib", "/var/log"} {
		c.Host.MustRun(t.Context(), "mount", "-t", "tmpfs", "tmpfs", dir)
	}
}

// A log shipper, as charts have it, finds the logs of containers and the pods'
// folders by the paths that are written into it, and nothing of what is gone.
func logShipper(t *testing.T, c *cluster.Cluster) {
	c.Apply(shell("shipper", forever, `      volumeMounts:
        - {name: log, mountPath: /var/log, readOnly: true}
        - {name: kubelet, mountPath: /var/lib/kubelet/pods, readOnly: true}
  volumes:
    - {name: log, hostPath: {path: /var/log}}
    - {name: kubelet, hostPath: {path: /var/lib/kubelet/pods}}
`))
	c.Kubectl("wait", "--for=condition=Ready", "pod/shipper", "--timeout=150s")
	c.Apply(shell("talker", "echo hello from talker; "+forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, emptyDir: {}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/talker", "--timeout=150s")
	about := strings.Fields(c.Kubectl("get", "pod", "talker", "-o", "jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID}"))
	link := "/var/log/containers/talker_shipper_c-" + strings.TrimPrefix(about[1], "containerd://") + ".log"
	in := func(script string) string { return c.Kubectl("exec", "shipper", "--", "sh", "-c", script) }
	c.Eventually(60*time.Second, "hello from talker", func() string { return in("cut -d' ' -f4- " + link) })
	same(t, "where it leads", in("readlink "+link), "/var/log/pods/shipper_talker_"+about[0]+"/c/0.log")
	c.Kubectl("exec", "talker", "--", "sh", "-c", "echo data > /v/file")
	same(t, "a file of its volume", in("cat /var/lib/kubelet/pods/"+about[0]+"/volumes/kubernetes.io~empty-dir/v/file"), "data")

	c.Kubectl("delete", "pod", "talker", "--timeout=150s")
	c.Eventually(60*time.Second, "", func() string {
		return in("ls -d /var/log/containers/talker_shipper_* /var/log/pods/shipper_talker_* /var/lib/kubelet/pods/" + about[0] + " 2>/dev/null || true")
	})
	c.Kubectl("delete", "pod", "shipper", "--timeout=150s")
}
