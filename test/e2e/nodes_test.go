package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

const spread = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 4
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: ` + nginxName + `
          command: [sh, -c, 'echo here is $(hostname); trap "exit 0" TERM; while :; do sleep 0.1; done']
          resources: {requests: {cpu: 50m}}
`

// Two machines are one cluster: pods on both, reached through the API server,
// the node keeps to its own, renews its certificates, dies and is emptied.
func TestSecondNode(t *testing.T) {
	network := host.NewSwitch(t)
	one, two := network.Host("one"), network.Host("two")
	// Certificates of a minute and a half are renewed all the time.
	c := cluster.On(t, one, cluster.Bin(t), "--cluster-signing-duration", "90s").Start()
	c.Import(nginxImage(t))
	agentsRefused(t, c, two)
	a := c.Agent(t, two)
	a.Launch()
	began := time.Now()
	ready := func() string {
		return c.Kubectl("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
	}
	c.Eventually(180*time.Second, "one=True two=True ", ready)
	t.Logf("the second node is ready %s after its start", time.Since(began).Round(10*time.Millisecond))
	a.Import(nginxImage(t))

	c.Apply(spread)
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	on := func() []string {
		return strings.Fields(c.Kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}"))
	}
	if nodes := on(); !slices.Contains(nodes, "one") || !slices.Contains(nodes, "two") {
		t.Fatalf("the pods are on %v", nodes)
	}
	there := strings.Fields(c.Kubectl("get", "pods", "-l", "app=web", "--field-selector", "spec.nodeName=two", "-o", "jsonpath={.items[*].metadata.name}"))
	reached := func() string {
		out, err := c.Try("exec", there[0], "--", "hostname")
		if err != nil {
			return out
		}
		logs, _ := c.Try("logs", there[0])
		return out + logs
	}
	c.Eventually(60*time.Second, there[0]+"\nhere is "+there[0]+"\n", reached)

	says(t, "the API, asked by a pod of the second node", c.Kubectl("exec", there[0], "--", "curl", "-sk", "-m", "10", "https://10.43.0.1/livez"), "ok")

	t.Run("node identity", func(t *testing.T) { nodeKeepsToItsOwn(t, c, a) })

	// Its certificates are renewed while it runs.
	certificate := func(pair string) string {
		path, err := filepath.EvalSymlinks(filepath.Join(a.Data, "pki", pair+"-current.pem"))
		if err != nil {
			return err.Error()
		}
		return filepath.Base(path)
	}
	client, serving := certificate("node-client"), certificate("node-serving")
	c.Eventually(120*time.Second, "true", func() string {
		if certificate("node-client") != client && certificate("node-serving") != serving {
			return "true"
		}
		return certificate("node-client") + certificate("node-serving")
	})
	c.Eventually(60*time.Second, there[0]+"\nhere is "+there[0]+"\n", reached)

	// Killed, it comes back to the same containers.
	before := c.Containers()
	a.Kill()
	foreignToken(t, c, two)
	a.Launch()
	c.Eventually(60*time.Second, there[0]+"\nhere is "+there[0]+"\n", reached)
	c.Eventually(60*time.Second, "one=True two=True ", ready)
	if after := c.Containers(); after != before {
		t.Errorf("after the agent was killed:\n%s\nbefore:\n%s", after, before)
	}

	t.Run("taints", func(t *testing.T) { taintsThatEvict(t, c) })
	t.Run("another pool", func(t *testing.T) { fromAnotherPool(t, c, one, two) })
	t.Run("killed while copying", func(t *testing.T) { killedWhileCopying(t, c, a) })
	t.Run("across the nodes", func(t *testing.T) { acrossNodes(t, c, a) })
	t.Run("the API is away", func(t *testing.T) { apiAway(t, c, a, there[0]) })

	c.Kubectl("drain", "two", "--ignore-daemonsets", "--timeout=150s")
	c.Eventually(60*time.Second, "one one one one", func() string { return strings.Join(on(), " ") })
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	c.Kubectl("uncordon", "two")
	if took := a.Signal("TERM"); took > 30*time.Second {
		t.Errorf("the agent took %s to stop", took)
	}
}

// nodeKeepsToItsOwn uses the second node's certificate as a thief would.
func nodeKeepsToItsOwn(t *testing.T, c, a *cluster.Cluster) {
	for _, name := range []string{"one", "two"} {
		c.Kubectl("create", "secret", "generic", "of-"+name, "--from-literal=a=b")
		c.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: on-` + name + `}
spec:
  nodeName: ` + name + `
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "` + nginxName + `", command: [sh, -c, "` + strings.ReplaceAll(forever, `"`, `\"`) + `"], envFrom: [{secretRef: {name: of-` + name + `}}]}]
`)
		c.Kubectl("wait", "--for=condition=Ready", "pod/on-"+name, "--timeout=150s")
	}
	as := func(args ...string) (string, error) {
		// While it is renewed there may be none for an instant.
		pair := ""
		c.Eventually(60*time.Second, "read", func() string {
			text, err := os.ReadFile(filepath.Join(a.Data, "pki", "node-client-current.pem"))
			if err != nil {
				return err.Error()
			}
			pair = c.File("stolen.pem", string(text))
			return "read"
		})
		return c.Try(append([]string{
			"--kubeconfig", "/dev/null", "--server", "https://127.0.0.1:6443", "--certificate-authority", filepath.Join(c.Data, "pki", "ca.crt"),
			"--client-certificate", pair, "--client-key", pair,
		}, args...)...)
	}
	for _, x := range []struct {
		args []string
		says string
		may  bool
	}{
		{[]string{"get", "secret", "of-two", "-o", "name"}, "secret/of-two", true},
		{[]string{"get", "secret", "of-one", "-o", "name"}, `secrets "of-one" is forbidden: User "system:node:two" cannot get resource "secrets"`, false},
		{[]string{"get", "secrets"}, `cannot list resource "secrets"`, false},
		{[]string{"label", "node", "one", "a=b"}, `node 'two' cannot read 'one', only its own Node object`, false},
		{[]string{"label", "node", "two", "node-role.kubernetes.io/control-plane=true"}, "is not allowed to modify labels", false},
		{[]string{"delete", "pod", "on-one"}, "forbidden", false},
		{[]string{"get", "configmap", "-n", "kube-system", "berth-cluster", "-o", "name"}, "configmap/berth-cluster", true},
		{[]string{"create", "token", "default"}, "forbidden", false},
	} {
		out, err := as(x.args...)
		if (err == nil) != x.may || !strings.Contains(out, x.says) {
			t.Errorf("kubectl %s: %v\n%s\nwant: %s", strings.Join(x.args, " "), err, out, x.says)
		}
	}
	c.Kubectl("delete", "pod", "on-one", "on-two", "--wait=false")
}

// fromAnotherPool lets a pod whose address lies outside the cluster's ranges speak
// to another machine: it leaves the cluster under its node's address. Pods see it
// as it is.
func fromAnotherPool(t *testing.T, c *cluster.Cluster, one, two *host.Host) {
	l, err := one.Listen("tcp4", one.Addr+":8099")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, "you are "+from)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	c.Apply(`
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: guests}
spec: {subnet: 10.6.0.0/16, ips: [10.6.168.101]}
---` + strings.Replace(shell("guest", forever, "  nodeSelector: {kubernetes.io/hostname: two}\n"), "labels:", `annotations: {ipam.spidernet.io/ippool: '{"ipv4": ["guests"]}'}, labels:`, 1))
	c.Kubectl("wait", "--for=condition=Ready", "pod/guest", "--timeout=150s")
	same(t, "the guest's address", c.Ask("get", "pod", "guest", "-o", "jsonpath={.status.podIP}"), "10.6.168.101")
	c.Eventually(60*time.Second, "you are "+two.Addr, func() string {
		out, _ := c.Try("exec", "guest", "--", "curl", "-s", "-m", "10", "http://"+one.Addr+":8099/")
		return out
	})
	c.Kubectl("delete", "pod/guest", "spiderippool/guests", "--timeout=150s")
}
