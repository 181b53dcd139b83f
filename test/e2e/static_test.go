package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// manifest puts a file into a node's folder of static pods; no text takes it away.
func manifest(t *testing.T, c *cluster.Cluster, name, text string) {
	t.Helper()
	path := filepath.Join(c.Data, "pod-manifests", name)
	var err error
	if text == "" {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file on the node is a pod: with an address, logs and exec, shown by the API,
// and it stays whatever the API is told, until the file says something else.
func staticPods(t *testing.T, c *cluster.Cluster) {
	in := func(text string) string {
		return strings.Replace(text, "metadata: {", "metadata: {namespace: "+c.Namespace()+", ", 1)
	}
	manifest(t, c, "one.yaml", in(shell("one", "echo first; "+forever, "      ports: [{containerPort: 80}]\n")))
	const pod = "one-shared"
	get := func(path string) string { out, _ := c.Try("get", "pod", pod, "-o", "jsonpath="+path); return out }
	c.Eventually(60*time.Second, "True", func() string { return get(`{.status.conditions[?(@.type=="Ready")].status}`) })
	about := get(`{.metadata.annotations['kubernetes\.io/config\.source','kubernetes\.io/config\.hash','kubernetes\.io/config\.mirror']} {.metadata.ownerReferences[*]['kind','name','controller']}`)
	matches(t, "the mirror", about, "file ([0-9a-f]{32}) [0-9a-f]{32} Node shared true")
	hash := strings.Fields(about)[1]
	same(t, "the hash twice", strings.Fields(about)[2], hash)
	same(t, "its grant", c.Ask("get", "spiderendpoint", pod, "-o", "jsonpath={.status.current.uid}"), hash)
	same(t, "logs", c.Ask("logs", pod), "first")
	ip := get("{.status.podIP}")
	says(t, "its own address", c.Kubectl("exec", pod, "--", "hostname", "-i"), ip)
	c.Eventually(60*time.Second, "true", func() string {
		return yes(strings.Contains(c.Kubectl("describe", "pod", pod), "Container started"))
	})

	// Who deletes the mirror changes nothing.
	run := func() string {
		return get("{.status.containerStatuses[0]['containerID','restartCount']} {.status.podIP}")
	}
	before, uid := run(), get("{.metadata.uid}")
	c.Kubectl("delete", "pod", pod, "--timeout=150s")
	c.Eventually(60*time.Second, "true", func() string { now := get("{.metadata.uid}"); return yes(now != "" && now != uid) })
	c.Eventually(60*time.Second, before, run)

	// What is wrong is told at the node, and what was right runs on.
	manifest(t, c, "one.yaml", in(shell("one", forever, "  serviceAccountName: x\n")))
	manifest(t, c, "two.yaml", in(shell("two", forever, "  volumes: [{name: v, configMap: {name: m}}]\n")))
	c.Eventually(60*time.Second, "true true", func() string {
		events := c.Kubectl("get", "events", "--all-namespaces", "--field-selector", "reason=InvalidStaticPod", "-o", "jsonpath={.items[*].message}")
		return yes(strings.Contains(events, "one.yaml: could not process manifest file: static pods may not reference serviceaccounts")) + " " +
			yes(strings.Contains(events, "two.yaml: could not process manifest file: static pods may not reference configmaps (via configmap volumes)"))
	})
	same(t, "what runs", run(), before)

	// Another text is another pod, in its place.
	manifest(t, c, "one.yaml", in(shell("one", "echo second; "+forever, "")))
	c.Eventually(60*time.Second, "second\n", func() string { out, _ := c.Try("logs", pod); return out })
	if now := get(`{.metadata.annotations['kubernetes\.io/config\.hash']}`); now == hash {
		t.Errorf("still %s", now)
	}
	manifest(t, c, "one.yaml", "")
	manifest(t, c, "two.yaml", "")
	c.Eventually(60*time.Second, "", func() string { return c.Kubectl("get", "pods,spiderendpoints", "-o", "name") })
}
