package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A node that nobody runs is tainted: its pods go as they tolerate it, and wait
// for the node to end them until somebody says that the machine is off.
func taintsThatEvict(t *testing.T, c *cluster.Cluster) {
	c.Apply("apiVersion: v1\nkind: Node\nmetadata: {name: ghost}\nspec: {taints: [{key: nobody, effect: NoSchedule}]}\n")
	pods := map[string]string{
		"ghost-goes":  "[]",
		"ghost-later": "[{key: evict, operator: Exists, effect: NoExecute, tolerationSeconds: 2}]",
		"ghost-stays": "[{key: evict, operator: Exists, effect: NoExecute}]",
	}
	var all []string
	for name, tolerations := range pods {
		all = append(all, shell(name, forever, "  nodeName: ghost\n  tolerations: "+tolerations+"\n"))
	}
	c.Apply(strings.Join(all, "---"))
	there := func(field string) func() string {
		return func() string {
			return strings.TrimSpace(c.Kubectl("get", "pods", "--field-selector", "spec.nodeName=ghost", "-o", `jsonpath={range .items[*]}{.metadata.name}={`+field+`} {end}`))
		}
	}
	leaves := func() string {
		var names []string
		for _, pod := range strings.Fields(there(".metadata.deletionTimestamp")()) {
			if name, at, _ := strings.Cut(pod, "="); at != "" {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	c.Kubectl("taint", "node", "ghost", "evict=now:NoExecute")
	c.Eventually(60*time.Second, "ghost-goes ghost-later", leaves)
	for _, name := range []string{"ghost-goes", "ghost-later"} {
		c.Eventually(60*time.Second, "Marking for deletion Pod default/"+name, func() string {
			return c.Kubectl("get", "events", "--field-selector", "reason=TaintManagerEviction,involvedObject.name="+name, "-o", "jsonpath={.items[*].message}")
		})
	}
	same(t, "pods that wait for their node", func() string { return there(".spec.nodeName")() }, "ghost-goes=ghost ghost-later=ghost ghost-stays=ghost")
	c.Kubectl("taint", "node", "ghost", "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
	c.Eventually(60*time.Second, "", there(".spec.nodeName"))
	c.Kubectl("delete", "node", "ghost")
}
