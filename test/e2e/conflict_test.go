package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// far is a set whose addresses are of a pool without a network: they are routed.
const farAway = `
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: far}
spec: {subnet: 10.77.0.0/24, ips: [10.77.0.10-10.77.0.12]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: far}
spec:
  replicas: 1
  selector: {matchLabels: {app: far}}
  template:
    metadata: {labels: {app: far}, annotations: {ipam.spidernet.io/ippool: '{"ipv4": ["far"]}'}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: ` + nginxName + `
          readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
`

// A pod moves to the other machine with its address, on the segment and routed: who
// talked to it before reaches it there, and nothing leads to where it was.
func movesWithItsAddress(t *testing.T, c *cluster.Cluster, one, two, printer *host.Host) {
	c.Apply(farAway)
	c.Kubectl("scale", "sts/db", "--replicas=1")
	c.Kubectl("rollout", "status", "sts/far", "--timeout=180s")
	c.Kubectl("wait", "--for=delete", "pod/db-1", "--timeout=150s")
	is := func(pod string) (node, ip string) {
		t.Helper()
		node, ip, _ = strings.Cut(c.Kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName} {.status.podIP}"), " ")
		return node, ip
	}
	reached := func(what, ip string, from ...*host.Host) {
		t.Helper()
		// What leads there comes by watches of its own, beside the pod's readiness.
		for _, h := range from {
			c.Eventually(90*time.Second, "reached", func() string {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				conn, err := h.Dial(ctx, "tcp", ip+":80")
				if err != nil {
					return fmt.Sprintf("%s: machine %s does not reach %s: %v", what, h.Name, ip, err)
				}
				conn.Close()
				return "reached"
			})
		}
		c.Eventually(90*time.Second, "reached", func() string {
			if out, err := c.Try("exec", "routed", "--", "curl", "-s", "-m", "10", "-o", "/dev/null", "http://"+ip+"/"); err != nil {
				return fmt.Sprintf("%s: a routed pod does not reach %s: %v %s", what, ip, err, out)
			}
			return "reached"
		})
	}
	for pod, from := range map[string][]*host.Host{"db-0": {one, two, printer}, "far-0": {one, two}} {
		node, ip := is(pod)
		reached("before "+pod+" moves", ip, from...)
		known := printer.Neighbour(ip)
		c.Kubectl("cordon", node)
		c.Kubectl("delete", "pod", pod, "--timeout=150s")
		c.Kubectl("wait", "--for=create", "pod/"+pod, "--timeout=150s")
		c.Kubectl("wait", "--for=condition=Ready", "pod/"+pod, "--timeout=150s")
		if moved, same := is(pod); moved == node || same != ip {
			t.Errorf("%s was on %s with %s and is on %s with %s", pod, node, ip, moved, same)
		}
		reached("after "+pod+" moved", ip, from...)
		if now := printer.Neighbour(ip); now != known {
			t.Errorf("%s was %s on the segment and is %s", pod, known, now)
		}
		c.Kubectl("uncordon", node)
	}
}

// troubled is what a pod's condition says about its network.
const troubled = `jsonpath={.status.conditions[?(@.type=="berth.dev/NetworkReady")].status} {.status.conditions[?(@.type=="berth.dev/NetworkReady")].reason}: {.status.conditions[?(@.type=="berth.dev/NetworkReady")].message}`

// waits checks that a pod says why it is not started, in its condition and in an
// event.
func waits(t *testing.T, c *cluster.Cluster, pod, reason, message string) {
	t.Helper()
	c.Eventually(120*time.Second, "False "+reason+": "+message, c.Ask("get", "pod", pod, "-o", troubled))
	says(t, "the event of "+pod, c.Ask("get", "events", "--field-selector", "involvedObject.name="+pod+",reason="+reason, "-o", "jsonpath={.items[*].message}"), message)
	says(t, "the sandbox of "+pod, c.Ask("get", "events", "--field-selector", "involvedObject.name="+pod+",reason=FailedCreatePodSandBox", "-o", "jsonpath={.items[*].message}"), message)
	same(t, "what runs in "+pod, c.Ask("get", "pod", pod, "-o", `jsonpath={.status.containerStatuses[*].started} {.status.containerStatuses[*].restartCount} {.status.conditions[?(@.type=="Ready")].status}`), "false 0 False")
}

// A machine that is none of the cluster's takes a pod's address: the pod is not
// started again until it is gone, and keeps its address.
func somebodyElseHasIt(t *testing.T, c *cluster.Cluster, printer *host.Host) {
	ip := c.Kubectl("get", "pod", "db-0", "-o", "jsonpath={.status.podIP}")
	mac := printer.Hold(ip + "/24")
	c.Kubectl("delete", "pod", "db-0", "--timeout=150s")
	c.Kubectl("wait", "--for=create", "pod/db-0", "--timeout=150s")
	waits(t, c, "db-0", "AddressConflict", fmt.Sprintf("address %s of interface eth0 is in use in network kube-system/lan: %s has it; the pod waits until it is free", ip, mac))
	printer.Drop(ip + "/24")
	c.Kubectl("wait", "--for=condition=Ready", "pod/db-0", "--timeout=150s")
	same(t, "the address of db-0", c.Ask("get", "pod", "db-0", "-o", "jsonpath={.status.podIP}"), ip)
	c.Eventually(90*time.Second, " : ", c.Ask("get", "pod", "db-0", "-o", troubled))
}

// A pod whose network's gateway is to be there waits for it.
func gatewayIsMissing(t *testing.T, c *cluster.Cluster, printer *host.Host) {
	c.Apply(`
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderMultusConfig
metadata: {name: led, namespace: kube-system}
spec: {cniType: macvlan, macvlan: {master: [eth0], ippools: {ipv4: [led]}}, coordinator: {detectGateway: true}}
---
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: led}
spec: {subnet: 172.30.0.0/24, ips: [172.30.0.121], gateway: 172.30.0.254}
---
apiVersion: v1
kind: Pod
metadata: {name: lonely, annotations: {v1.multus-cni.io/default-network: kube-system/led}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: ` + nginxName + `}]
`)
	waits(t, c, "lonely", "GatewayUnreachable", "gateway 172.30.0.254 of interface eth0 does not answer in network kube-system/led; the pod waits until it does")
	printer.Hold("172.30.0.254/24")
	c.Kubectl("wait", "--for=condition=Ready", "pod/lonely", "--timeout=150s")
	c.Eventually(90*time.Second, " : ", c.Ask("get", "pod", "lonely", "-o", troubled))
}

// The network of the machines is no range for pods that are routed, of a pool or of
// a cluster.
func rangesOfTheMachines(t *testing.T, c *cluster.Cluster, printer *host.Host) {
	c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: astray, annotations: {ipam.spidernet.io/ippool: '{"ipv4": ["lan"]}'}}
spec: {containers: [{name: c, image: ` + nginxName + `}]}
`)
	says(t, "the event of astray", c.Ask("get", "events", "--field-selector", "involvedObject.name=astray,reason=FailedAllocateIP", "-o", "jsonpath={.items[*].message}"),
		"IPPool lan: its subnet 172.30.0.0/24 is the network of node ")
	for flag, want := range map[string]string{
		"--cluster-cidr=172.16.0.0/12":  "the range 172.16.0.0/12 of the pods holds this machine's own address " + printer.Addr + " by interface eth0; choose another range with --cluster-cidr",
		"--service-cidr=172.30.0.64/27": "the range 172.30.0.64/27 of the services lies in the network 172.30.0.0/24, which this machine is in by interface eth0; choose another range with --service-cidr",
	} {
		data := printer.Dir + "/data" + flag[2:9]
		out, err := printer.Run(context.Background(), c.Berth(), "server", "--data-dir="+data, flag)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("berth server %s: %v\n%s", flag, err, out)
		}
		if out, err := printer.Run(context.Background(), "ls", data+"/etcd"); err == nil {
			t.Errorf("berth server %s made a datastore: %s", flag, out)
		}
	}
}
