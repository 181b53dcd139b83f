package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// Pods with users of their own: root inside is nobody outside, no two pods share
// one, and what is mounted belongs inside to whom it belongs outside.
func usersOfPods(t *testing.T, c *cluster.Cluster) {
	pod := func(name string) string {
		return strings.Replace(shell(name, "echo mine > /e/f; "+forever, `      env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
      volumeMounts:
        - {name: e, mountPath: /e}
        - {name: s, mountPath: /s, readOnly: true}
        - {name: s, mountPath: /part, subPath: k}
        - {name: m, mountPath: /m}
        - {name: i, mountPath: /i}
  securityContext: {fsGroup: 4242}
  volumes: [{name: e, emptyDir: {}}, {name: s, secret: {secretName: s, defaultMode: 0400}}, {name: m, emptyDir: {medium: Memory}}, {name: i, image: {reference: `+nginxName+`}}]
`), "spec:", "spec:\n  hostUsers: false", 1)
	}
	c.Kubectl("create", "secret", "generic", "s", "--from-literal=k=v")
	c.Apply(pod("a") + "---" + pod("b") + "---" + shell("plain", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/a", "pod/b", "pod/plain", "--timeout=150s")
	in := func(pod, script string) string {
		return strings.Join(strings.Fields(c.Kubectl("exec", pod, "--", "sh", "-c", script)), " ")
	}
	first := map[string]string{}
	for _, name := range []string{"a", "b"} {
		var inside, outside, count string
		if _, err := fmt.Sscan(in(name, "cat /proc/self/uid_map"), &inside, &outside, &count); err != nil || inside != "0" || outside == "0" || count != "65536" {
			t.Errorf("users of %s: %s %s %s %v", name, inside, outside, count, err)
		}
		if other := first[outside]; other != "" {
			t.Errorf("%s and %s have the same users", name, other)
		}
		first[outside] = name
		same(t, "groups of "+name, in(name, "cat /proc/self/gid_map"), "0 "+outside+" 65536")
	}
	same(t, "users of another", in("plain", "cat /proc/self/uid_map"), "0 0 4294967295")
	same(t, "who it is inside", in("a", "id -u; id -G"), "0 0 4242")
	same(t, "whose files are inside", in("a", "stat -c %u:%g /e /e/f /m /s/k /etc/hosts /i/etc/nginx; cat /s/k /part; touch /i/no 2>/dev/null || echo refused"),
		"0:4242 0:4242 0:4242 0:4242 0:0 0:0 vvrefused")
	same(t, "its own root", in("a", "touch /new /m/new && chown 1000 /new /m/new && stat -c %u /new /m/new"), "1000 1000")
	uid := c.Kubectl("get", "pod", "a", "-o", "jsonpath={.metadata.uid}")
	info, err := os.Stat(filepath.Join(c.Data, "kubelet/pods", uid, "volumes/kubernetes.io~empty-dir/e/f"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || st.Gid != 4242 {
		t.Errorf("outside the file is %d:%d's", st.Uid, st.Gid)
	}
	// A restarted container has the users of its pod.
	before := in("a", "cat /proc/self/uid_map")
	c.ExecLast("a", "--", "sh", "-c", "kill 1")
	c.Eventually(60*time.Second, "1 true", func() string {
		return c.Kubectl("get", "pod", "a", "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}")
	})
	same(t, "users after a restart", in("a", "cat /proc/self/uid_map; cat /e/f"), before+" mine")
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
	c.Eventually(60*time.Second, "", func() string {
		left, _ := filepath.Glob(filepath.Join(c.Data, "kubelet/containers", uid))
		return strings.Join(left, " ")
	})
}
