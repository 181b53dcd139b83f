package e2e

import (
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A namespace is closed, then opened for one label, one port and the way out to
// the cluster's names; pods that start under a policy are never without it.
func policiesOfTheNetwork(t *testing.T, c *cluster.Cluster) {
	web := func(name string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {app: " + name + "}}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: " +
			nginxName + ", ports: [{name: http, containerPort: 80}], readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}]}\n"
	}
	policy := func(name, spec string) string {
		return "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
	}
	c.Apply(policy("closed", "{podSelector: {}, policyTypes: [Ingress]}"))
	c.Apply(web("db") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {selector: {app: db}, ports: [{port: 5432, targetPort: http}]}\n" +
		"---\n" + shell("friend", forever, "") + "---\n" + shell("stranger", forever, ""))
	// The node's own probes are let through.
	c.Kubectl("wait", "--for=condition=Ready", "pod/db", "pod/friend", "pod/stranger", "--timeout=150s")
	from := func(pod, at string) func() string {
		return func() string {
			out, _ := c.Try("exec", pod, "--", "curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", "http://"+at+"/")
			return out[:min(3, len(out))]
		}
	}
	same(t, "through the service, closed", from("friend", "db:5432")(), "000")
	c.Apply(policy("friends", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: http}]}]}"))
	c.Eventually(60*time.Second, "200", from("friend", "db:5432"))
	same(t, "a stranger", from("stranger", "db:5432")(), "000")
	// A label is all it takes, and taking it away ends it.
	c.Kubectl("label", "pod", "stranger", "app=friend", "--overwrite")
	c.Eventually(60*time.Second, "200", from("stranger", "db:5432"))
	c.Kubectl("label", "pod", "stranger", "app=stranger", "--overwrite")
	c.Eventually(60*time.Second, "000", from("stranger", "db:5432"))
	// The way out: closed for the friend, but for names.
	c.Apply(policy("quiet", "{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress]}"))
	c.Eventually(60*time.Second, "000", from("friend", "db:5432"))
	// 28: the name is found and nobody answers; it would be 6 without the name.
	c.Eventually(60*time.Second, "28", func() string {
		return c.Kubectl("exec", "friend", "--", "sh", "-c", "curl -s -m 2 http://db:5432/ >/dev/null; echo $?")
	})
	// A block but for one address, and a name found on the way.
	c.Kubectl("delete", "networkpolicy", "closed", "friends", "--timeout=150s")
	db := c.Kubectl("get", "pod", "db", "-o", "jsonpath={.status.podIP}")
	out := func(except string) string {
		return policy("out", "{podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.42.0.0/16"+except+"}}], ports: [{port: 80}]}]}")
	}
	c.Apply(out(""))
	c.Eventually(60*time.Second, "200", from("friend", "db:5432"))
	c.Apply(out(", except: [" + db + "/32]"))
	c.Eventually(60*time.Second, "000", from("friend", "db:5432"))
	c.Kubectl("delete", "networkpolicy", "--all", "--timeout=150s")
	for _, pod := range []string{"friend", "stranger"} {
		c.Eventually(60*time.Second, "200", from(pod, "db:5432"))
	}
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}
