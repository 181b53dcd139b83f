package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// addresses is how many the pool has: as many as there are pods.
const addresses = 6

const twoSetsOnePool = `
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: exact}
spec: {subnet: 10.6.0.0/16, ips: [10.6.168.101-10.6.168.106]}

---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: NAME}}
  template:
    metadata:
      labels: {app: NAME}
      annotations: {ipam.spidernet.io/ippool: '{"ipv4": ["exact"]}'}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: demo
          image: berth.dev/demo:1
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
`

// Two sets share a pool of exactly their size on two machines. Pods are deleted,
// rolled, and moved from one set to the other, while the server or the agent is
// killed. No address is ever held twice, none is lost or left over, and a pod
// that its set always wanted never has another one.
func TestAddressesUnderChaos(t *testing.T) {
	chance := seeded(t)
	network := host.NewSwitch(t)
	c := cluster.On(t, network.Host("one"), cluster.Bin(t)).Start()
	a := c.Agent(t, network.Host("two"))
	a.Launch()
	c.Kubectl("wait", "--for=create", "node/two", "--timeout=150s")
	c.Kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=150s")
	pool, set, _ := strings.Cut(twoSetsOnePool, "---")
	c.Apply(strings.Join([]string{pool, strings.ReplaceAll(set, "NAME", "a"), strings.ReplaceAll(set, "NAME", "b")}, "---"))
	l := &ledger{t: t, client: c.Client(), first: map[string]string{}, loose: map[string]bool{}}
	settled(t, c, l, map[string]int{"a": 3, "b": 3})
	l.follow()

	replicas := map[string]int{"a": 3, "b": 3}
	for range 6 {
		set := []string{"a", "b"}[chance.IntN(2)]
		switch what := chance.IntN(5); what {
		case 0, 1:
			pods := []string{fmt.Sprint(set, "-0"), fmt.Sprint(set, "-", chance.IntN(replicas[set]))}
			t.Log("delete ", pods)
			c.Kubectl(append([]string{"delete", "pod", "--wait=false", "--ignore-not-found"}, pods...)...)
		case 2:
			t.Log("roll ", set)
			c.Kubectl("rollout", "restart", "statefulset/"+set)
		default:
			n := 1 + chance.IntN(addresses-1)
			replicas = map[string]int{"a": n, "b": addresses - n}
			t.Log("scale to ", replicas)
			for name, n := range replicas {
				l.loosen(name, n)
				c.Kubectl("scale", "statefulset/"+name, fmt.Sprintf("--replicas=%d", n))
			}
		}
		// Most of what was asked for happens within this time; when is not asserted.
		time.Sleep(time.Duration(chance.IntN(1500)) * time.Millisecond)
		switch chance.IntN(3) {
		case 0:
			t.Log("kill the server")
			c.Kill()
			c.Start()
		case 1:
			t.Log("kill the agent")
			a.Kill()
			a.Launch()
		}
	}
	settled(t, c, l, replicas)
	l.loosen("a", 0)
	l.loosen("b", 0)
	c.Kubectl("delete", "statefulset", "a", "b", "--timeout=150s")
	c.Eventually(120*time.Second, "0 held, the pool says 0", l.left)
	l.stop()
}

// settled waits until every pod has an address of its own, and checks them.
func settled(t *testing.T, c *cluster.Cluster, l *ledger, replicas map[string]int) {
	t.Helper()
	var want []string
	for _, set := range []string{"a", "b"} {
		for i := range replicas[set] {
			want = append(want, fmt.Sprintf("%s-%d=True", set, i))
		}
		c.Kubectl("rollout", "status", "statefulset/"+set, "--timeout=150s")
	}
	c.Eventually(120*time.Second, strings.Join(want, " "), func() string {
		return strings.TrimSpace(c.Kubectl("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`))
	})
	c.Eventually(120*time.Second, fmt.Sprintf("%d held, the pool says %d", addresses, addresses), l.left)
	held, err := l.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pods, err := l.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if got := held[p.Name]; got.ip != p.Status.PodIP || got.uid != string(p.UID) {
			t.Errorf("pod %s (%s) has %s, recorded is %+v", p.Name, p.UID, p.Status.PodIP, got)
		}
	}
}

type holding struct{ ip, uid string }

// ledger is what the records say at every moment.
type ledger struct {
	t      *testing.T
	client kubernetes.Interface
	stop   func()

	mu    sync.Mutex
	first map[string]string // address by pod
	loose map[string]bool   // pods that a set did not want at some time
}

// loosen notes that a set is about to want no more than its first n pods.
func (l *ledger) loosen(set string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := n; i < addresses; i++ {
		l.loose[fmt.Sprintf("%s-%d", set, i)] = true
	}
}

// follow looks at the records until stop is called.
func (l *ledger) follow() {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan struct{})
	l.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	l.t.Cleanup(l.stop)
	go func() {
		defer close(done)
		looks := 0
		for again := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-again.C {
			if _, err := l.read(ctx); err == nil { // the server may be down
				looks++
			}
		}
		l.t.Logf("looked %d times", looks)
	}()
}

// read checks the records of one moment.
func (l *ledger) read(ctx context.Context) (map[string]holding, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock() // what is loosened meanwhile counts from the next look on
	body, err := l.client.CoreV1().RESTClient().Get().AbsPath("/apis/spiderpool.spidernet.io/v2beta1/namespaces/default/spiderendpoints").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var list spiderpoolv2beta1.SpiderEndpointList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	out, holder := map[string]holding{}, map[string]string{}
	for i := range list.Items {
		e := &list.Items[i]
		for _, ip := range e.Status.Current.IPs {
			addr, _, _ := strings.Cut(ip.IPv4, "/")
			if other := holder[addr]; other != "" {
				l.t.Errorf("%s is held by %s and %s", addr, other, e.Name)
			}
			holder[addr] = e.Name
			out[e.Name] = holding{addr, e.Status.Current.UID}
			if was := l.first[e.Name]; was != "" && was != addr && !l.loose[e.Name] {
				l.t.Errorf("%s moved from %s to %s", e.Name, was, addr)
			}
			l.first[e.Name] = addr
		}
	}
	for name := range l.first {
		if _, ok := out[name]; !ok && !l.loose[name] {
			l.t.Errorf("%s lost its address", name)
			l.loose[name] = true // said once
		}
	}
	return out, nil
}

// left is how many addresses are held, by the records and by the pool.
func (l *ledger) left() string {
	held, err := l.read(l.t.Context())
	if err != nil {
		return err.Error()
	}
	body, err := l.client.CoreV1().RESTClient().Get().AbsPath("/apis/spiderpool.spidernet.io/v2beta1/spiderippools/exact").DoRaw(l.t.Context())
	if err != nil {
		return err.Error()
	}
	var pool spiderpoolv2beta1.SpiderIPPool
	if err := json.Unmarshal(body, &pool); err != nil || pool.Status.AllocatedIPCount == nil {
		return fmt.Sprintf("the pool says nothing: %v", err)
	}
	return fmt.Sprintf("%d held, the pool says %d", len(held), *pool.Status.AllocatedIPCount)
}
