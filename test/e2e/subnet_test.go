package e2e

import (
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A Deployment and a set whose addresses are of one SpiderSubnet, each from a pool
// of its own that is as large as the workload and goes with it.
func poolsOfSubnets(t *testing.T, c *cluster.Cluster) {
	workload := func(kind, name, more string) string {
		return `
apiVersion: apps/v1
kind: ` + kind + `
metadata: {name: ` + name + `}
spec:
  replicas: 2
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata:
      labels: {app: ` + name + `}
      annotations: {ipam.spidernet.io/subnet: '{"ipv4": ["apps"]}'` + more + `}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: ` + nginxName + `}]
`
	}
	c.Apply(`
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderSubnet
metadata: {name: apps}
spec: {subnet: 10.99.0.0/16, ips: [10.99.0.1-10.99.0.20], excludeIPs: [10.99.0.2]}
---` + workload("Deployment", "shop", "") + `---` + workload("StatefulSet", "db", `, ipam.spidernet.io/ippool-ip-number: "2"`))
	c.Kubectl("rollout", "status", "deployment/shop", "--timeout=150s")
	c.Kubectl("rollout", "status", "sts/db", "--timeout=150s")
	counts := c.Ask("get", "spiderippools", "-l", "ipam.spidernet.io/owner-spider-subnet=apps,ipam.spidernet.io/owner-application-namespace="+c.Namespace(),
		"-o", `jsonpath={range .items[*]}{.metadata.labels.ipam\.spidernet\.io/owner-application-name}={.status.allocatedIPCount}/{.status.totalIPCount} {end}`)
	c.Eventually(90*time.Second, "db=2/2 shop=2/3 ", counts)
	matches(t, "the subnet", c.Ask("get", "ss", "apps"), `NAME +VERSION +SUBNET +ALLOCATED-IP-COUNT +TOTAL-IP-COUNT\napps +4 +10.99.0.0/16 +5 +19`)
	matches(t, "the addresses", c.Ask("get", "pods", "-o", "jsonpath={.items[*].status.podIP}"), `10\.99\.0\.\d+( 10\.99\.0\.\d+){3}`)
	matches(t, "the pools", c.Ask("get", "sp", "-l", "ipam.spidernet.io/owner-spider-subnet=apps", "-o", "name"),
		`spiderippool.spiderpool.spidernet.io/auto4-db-eth0-[0-9a-f]{5}\nspiderippool.spiderpool.spidernet.io/auto4-shop-eth0-[0-9a-f]{5}`)
	held := c.Ask("get", "pods", "-l", "app=db", "-o", "jsonpath={.items[*].status.podIP}")
	before := held()
	c.Kubectl("delete", "pod", "-l", "app=db")
	c.Kubectl("rollout", "status", "sts/db", "--timeout=150s")
	c.Eventually(90*time.Second, before, held)

	c.Kubectl("scale", "deployment/shop", "--replicas=4")
	c.Kubectl("rollout", "status", "deployment/shop", "--timeout=150s")
	c.Eventually(90*time.Second, "db=2/2 shop=4/5 ", counts)
	c.Kubectl("scale", "deployment/shop", "--replicas=1")
	c.Eventually(90*time.Second, "db=2/2 shop=1/2 ", counts)
	// A third pod of the set finds no address in a pool of two; the workload of that
	// number says so itself.
	c.Kubectl("scale", "sts/db", "--replicas=3")
	says(t, "the event of db-2", c.Ask("get", "events", "--field-selector", "involvedObject.name=db-2,reason=FailedAllocateIP", "-o", "jsonpath={.items[*].message}"),
		"no IPv4 address is free: IPPool auto4-db-eth0-", "has 2 of 2 addresses held")
	c.Kubectl("delete", "deployment/shop", "sts/db")
	c.Eventually(120*time.Second, "", counts)
	c.Kubectl("delete", "ss/apps", "--timeout=150s")
}
