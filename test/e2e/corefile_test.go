package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// The Corefile is where users know it: an edit gives a Service a second name,
// a mistake is said and changes nothing, and the edit survives.
func corefileOfTheUser(t *testing.T, c *cluster.Cluster) {
	c.Apply("apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: " + nginxName +
		", readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n")
	c.Kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=150s")
	was := c.Kubectl("get", "configmap", "coredns", "-n", "kube-system", "-o", "jsonpath={.data.Corefile}")
	says(t, "the Corefile that comes with the cluster", was, "kubernetes cluster.local in-addr.arpa ip6.arpa {", "forward . /etc/resolv.conf {")
	put := func(text string) {
		c.Kubectl("patch", "configmap", "coredns", "-n", "kube-system", "--type=merge", "--patch-file", c.File("corefile.yaml", "data:\n  Corefile: |\n"+indent(text, "    ")))
	}
	ask := func() string {
		out, _ := c.Try("exec", "web", "--", "curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", "http://shop.company.test/")
		return out[:min(3, len(out))]
	}
	same(t, "a name that nobody gave", ask(), "000")
	named := strings.Replace(was, "    errors\n", "    errors\n    rewrite name shop.company.test web."+c.Namespace()+".svc.cluster.local\n", 1)
	put(named)
	c.Eventually(60*time.Second, "200", ask)
	put(strings.Replace(named, "    loadbalance\n", "    loadbalance\n    nonsense\n", 1))
	c.Eventually(60*time.Second, "true", func() string {
		out := c.Ask("get", "events", "-n", "kube-system", "--field-selector", "involvedObject.kind=ConfigMap,involvedObject.name=coredns,reason=InvalidCorefile", "-o", "jsonpath={.items[*].message}")()
		if strings.Contains(out, "Unknown directive 'nonsense'; the one before it stays in force") && strings.Contains(out, "Corefile:19 - ") {
			return "true"
		}
		return out
	})
	same(t, "after a mistake", ask(), "200")
	put(was)
	c.Eventually(60*time.Second, "000", ask)
	c.Kubectl("delete", "pod", "web", "--timeout=150s")
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}
