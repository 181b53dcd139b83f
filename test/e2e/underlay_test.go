package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

const onTheLAN = `
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderMultusConfig
metadata: {name: lan, namespace: kube-system}
spec: {cniType: macvlan, macvlan: {master: [eth0]}}
---
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: lan}
spec: {subnet: 172.30.0.0/24, ips: [172.30.0.101-172.30.0.104]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
      annotations:
        v1.multus-cni.io/default-network: kube-system/lan
        ipam.spidernet.io/ippool: '{"ipv4": ["lan"]}'
    spec:
      terminationGracePeriodSeconds: 1
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: db}}}]
      containers:
        - name: c
          image: ` + nginxName + `
          command: [sh, -c, 'echo I am $(hostname) > /usr/share/nginx/html/index.html; exec nginx -g "daemon off;"']
          readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: routed, labels: {app: routed}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: ` + nginxName + `}]
`

// A set whose pods are on the segment of their two machines: reached by each other,
// by their nodes' probes, by services and by routed pods; their addresses stick.
func TestUnderlay(t *testing.T) {
	network := host.NewSwitch(t)
	one, two, printer := network.Host("one"), network.Host("two"), network.Host("printer")
	c := cluster.On(t, one, cluster.Bin(t)).Start()
	c.Import(nginxImage(t))
	a := c.Agent(t, two)
	a.Launch()
	c.Eventually(120*time.Second, "one=True two=True ", c.Ask("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`))
	a.Import(nginxImage(t))

	c.Apply(onTheLAN)
	c.Kubectl("rollout", "status", "sts/db", "--timeout=180s")
	c.Kubectl("wait", "--for=condition=Ready", "pod/routed", "--timeout=150s")
	addresses := c.Ask("get", "pods", "-l", "app=db", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.podIP} {end}`)
	before := addresses()
	ip := map[string]string{}
	for _, pair := range strings.Fields(before) {
		name, addr, _ := strings.Cut(pair, "=")
		if ip[name] = addr; !strings.HasPrefix(addr, "172.30.0.10") {
			t.Errorf("%s is no address of the pool", pair)
		}
	}
	asked := func(from, to, want string) {
		t.Helper()
		c.Eventually(90*time.Second, want, func() string {
			out, _ := c.Try("exec", from, "--", "curl", "-s", "-m", "10", "http://"+to+"/")
			return strings.TrimSpace(out)
		})
	}
	asked("db-0", ip["db-1"], "I am db-1")
	asked("routed", ip["db-0"], "I am db-0")
	asked("routed", ip["db-1"], "I am db-1")
	service := c.Kubectl("get", "svc", "db", "-o", "jsonpath={.spec.clusterIP}")
	for _, from := range []string{"db-0", "db-1", "routed"} {
		// Either pod may answer; each node leads to its own and to the other's.
		c.Eventually(90*time.Second, "I am db-0 I am db-1 ", func() string {
			seen := ""
			for _, want := range []string{"I am db-0", "I am db-1"} {
				for range 20 {
					if out, _ := c.Try("exec", from, "--", "curl", "-s", "-m", "10", "http://"+service+"/"); strings.TrimSpace(out) == want {
						seen += want + " "
						break
					}
				}
			}
			return seen
		})
	}
	for _, h := range []*host.Host{one, two} { // both machines
		for name, addr := range ip {
			conn, err := h.Dial(context.Background(), "tcp", addr+":80")
			if err != nil {
				t.Errorf("machine %s does not reach %s: %v", h.Name, name, err)
				continue
			}
			conn.Close()
		}
	}
	c.Eventually(90*time.Second, "kube-system/lan eth0 "+ip["db-0"], func() string {
		out, _ := c.Try("get", "pod", "db-0", "-o", `jsonpath={.metadata.annotations.k8s\.v1\.cni\.cncf\.io/network-status}`)
		var status []struct {
			Name, Interface string
			IPs             []string
			MTU             int
		}
		if json.Unmarshal([]byte(out), &status) != nil || len(status) != 1 || status[0].MTU == 0 {
			return out
		}
		return fmt.Sprint(status[0].Name, " ", status[0].Interface, " ", strings.Join(status[0].IPs, " "))
	})

	// Made again, and on the other machine: the addresses stay.
	c.Kubectl("delete", "pod", "-l", "app=db")
	c.Kubectl("rollout", "status", "sts/db", "--timeout=180s")
	c.Eventually(90*time.Second, before, addresses)
	asked("routed", ip["db-0"], "I am db-0")
	asked("db-0", ip["db-1"], "I am db-1")

	c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: lost, annotations: {k8s.v1.cni.cncf.io/networks: kube-system/nowhere}}
spec: {containers: [{name: c, image: ` + nginxName + `}]}
`)
	c.Eventually(90*time.Second, "there is no NetworkAttachmentDefinition kube-system/nowhere", func() string {
		out, _ := c.Try("get", "events", "--field-selector", "involvedObject.name=lost,reason=FailedAllocateIP", "-o", "jsonpath={.items[*].message}")
		if want := "there is no NetworkAttachmentDefinition kube-system/nowhere"; strings.Contains(out, want) {
			return want
		}
		return out
	})
	movesWithItsAddress(t, c, one, two, printer)
	somebodyElseHasIt(t, c, printer)
	gatewayIsMissing(t, c, printer)
	rangesOfTheMachines(t, c, printer)

	// What the plugins made is gone with the pods.
	c.Kubectl("delete", "sts/db", "sts/far", "pod/lost", "pod/routed", "pod/lonely", "pod/astray", "--timeout=150s")
	for _, m := range []*cluster.Cluster{c, a} {
		c.Eventually(90*time.Second, "0", func() string {
			out, _ := m.Host.Run(context.Background(), "sh", "-c", "ls "+m.Data+"/cni/cache 2>/dev/null | wc -l")
			return strings.TrimSpace(out)
		})
	}
}
