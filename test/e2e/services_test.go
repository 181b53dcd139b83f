package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A Service of type LoadBalancer has an address of the pool and is reached by
// it, by its node port and by its cluster address; a second and a third show what
// happens when the pool is exhausted.
func waysIntoServices(t *testing.T, c *cluster.Cluster) {
	balancer := func(name string) string {
		return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}\n"
	}
	c.Apply("---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: " +
		nginxName + "}]}\n" + balancer("one") + balancer("two") + "---\n" + shell("client", forever, ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/web", "pod/client", "--timeout=150s")
	field := func(service, path string) string {
		return c.Kubectl("get", "service", service, "-o", "jsonpath={"+path+"}")
	}
	for _, name := range []string{"one", "two"} {
		c.Eventually(60*time.Second, "true", func() string {
			return yes(strings.HasPrefix(field(name, ".status.loadBalancer.ingress[0].ip"), "192.0.2.20"))
		})
	}
	matches(t, "columns", c.Ask("get", "service", "one"), `(?s).*one +LoadBalancer +10\.[0-9.]+ +192\.0\.2\.20[01] +80:3[0-9]{4}/TCP.*`)
	node := c.Kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")
	from := func(pod, at string) string {
		out, _ := c.Try("exec", pod, "--", "curl", "-s", "-o", "/dev/null", "-m", "10", "-w", "%{http_code}", "http://"+at+"/")
		return out[:min(3, len(out))]
	}
	for _, at := range []string{
		field("one", ".status.loadBalancer.ingress[0].ip"), field("one", ".spec.clusterIP"),
		net.JoinHostPort(node, field("one", ".spec.ports[0].nodePort")), "one", "two." + c.Namespace() + ".svc.cluster.local",
	} {
		c.Eventually(60*time.Second, "200", func() string { return from("client", at) })
		c.Eventually(60*time.Second, "200", func() string { return from("web", at) }) // the endpoint itself
	}
	c.Apply(balancer("three"))
	c.Eventually(60*time.Second, "true", func() string {
		return yes(strings.Contains(c.Kubectl("describe", "service", "three"), "no IPv4 address is free in the pool 192.0.2.200-192.0.2.201: all 2 are taken"))
	})
	left := field("two", ".status.loadBalancer.ingress[0].ip")
	c.Kubectl("delete", "service", "two", "--timeout=150s")
	c.Eventually(60*time.Second, left, func() string { return field("three", ".status.loadBalancer.ingress[0].ip") })
	c.Eventually(60*time.Second, "200", func() string { return from("client", left) })
	// Nobody is there to answer: refused at once, on every way.
	c.Kubectl("delete", "pod", "web", "--timeout=150s")
	c.Eventually(60*time.Second, "curl: (7)", func() string {
		r := c.Do("exec", "client", "--", "curl", "-sS", "-m", "10", "http://"+left+"/")
		return r.Err[:min(9, len(r.Err))]
	})
	c.Kubectl("delete", "service", "one", "three", "--timeout=150s")
}
