package e2e

import (
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// A pod with users of its own: root inside is nobody outside, and what it writes
// belongs inside to root and outside to whom it would without.
func usersOfPods(t *testing.T, c *cluster.Cluster) {
	pod := func(name string) string {
		return strings.Replace(shell(name, "echo inside > /e/f; id -u > /e/id; "+forever, `      volumeMounts: [{name: e, mountPath: /e}, {name: s, mountPath: /s}, {name: m, mountPath: /m}]
  volumes: [{name: e, emptyDir: {}}, {name: s, secret: {secretName: s}}, {name: m, emptyDir: {medium: Memory}}]
`), "spec:", "spec:\n  hostUsers: false", 1)
	}
	c.Kubectl("create", "secret", "generic", "s", "--from-literal=k=v")
	c.Apply(pod("a"))
	c.Apply(pod("b"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/a", "pod/b", "--timeout=60s")
	t.Log(c.Kubectl("exec", "a", "--", "sh", "-c", "cat /proc/self/uid_map; ls -lan /e /s /m /etc/hosts; id"))
	t.Log(c.Kubectl("exec", "b", "--", "sh", "-c", "cat /proc/self/uid_map"))
}
