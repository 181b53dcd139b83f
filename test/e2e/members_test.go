package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// Three servers on one embedded datastore, of which the second and third have
// nothing but the first one's address and the token: each may be lost, stop or be
// cut off from the others, while objects are written and a StatefulSet grows.
func TestThreeServers(t *testing.T) {
	network := host.NewSwitch(t)
	one := cluster.On(t, network.Host("one"), cluster.Bin(t), "--disable-agent")
	s := &trio{t: t, all: map[string]*cluster.Cluster{"one": one}}
	s.up(one)
	second, third := network.Host("two"), network.Host("three")
	if c, err := second.Dial(t.Context(), "tcp", net.JoinHostPort(one.Host.Addr, "2380")); err == nil {
		c.Close()
		t.Error("a server that is alone listens for others")
	}
	token := one.ServerToken()
	first := "https://" + one.Host.Addr + ":6443"
	refusesToJoin(t, second, first, token)

	join := []string{"--disable-agent", "--server", first, "--token-file", token}
	began := time.Now()
	s.up(cluster.On(t, second, cluster.Bin(t), join...))
	t.Logf("the second server is ready after %s", since(began))
	began = time.Now()
	s.up(cluster.On(t, third, cluster.Bin(t), join...))
	t.Logf("the third server is ready after %s", since(began))
	s.members("one", "three", "two")
	node := one.Agent(t, network.Host("four"))
	node.Launch()
	s.nodeLives()
	one.Apply(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 0
  serviceName: db
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      nodeSelector: {no: node}
      containers: [{name: c, image: x}]
`)
	s.leads("one")
	s.grows()
	written := s.write()

	// The server that leads dies.
	began = time.Now()
	one.Kill()
	s.follows("one")
	t.Logf("after kill -9 another leads within %s", since(began))
	s.grows()
	s.nodeLives()

	// It comes back by itself and knows what was written meanwhile.
	began = time.Now()
	s.up(cluster.On(t, one.Host, cluster.Bin(t), "--disable-agent"))
	t.Logf("it is back after %s", since(began))
	one = s.all["one"]
	if at, now := s.all["two"].Kubectl("get", "sts", "db", "-o", "jsonpath={.spec.replicas}"), one.Kubectl("get", "sts", "db", "-o", "jsonpath={.spec.replicas}"); at != now {
		t.Errorf("it has %s replicas, the others %s", now, at)
	}

	// The one that leads now stops.
	stopped := s.leader()
	began = time.Now()
	s.all[stopped].Signal("TERM")
	s.follows(stopped)
	took := since(began)
	t.Logf("after a clean stop another leads within %s", took)
	s.grows()
	s.up(cluster.On(t, s.all[stopped].Host, cluster.Bin(t), "--disable-agent"))

	// The one that leads now is cut off from the other two, and from nobody else.
	name := s.leader()
	alone := s.all[name]
	delete(s.all, name)
	began = time.Now()
	alone.Host.Cut(2380)
	s.follows(name)
	t.Logf("after the leader was cut off another leads within %s", since(began))
	s.grows()
	alone.Eventually(60*time.Second, "refused", func() string {
		out, err := alone.Try("get", "nodes")
		if err == nil || !strings.Contains(out, "no quorum") {
			return out
		}
		return "refused"
	})
	if out, err := alone.Try("get", "--raw", "/readyz"); err == nil {
		t.Errorf("it says it is ready: %s", out)
	}
	if log := alone.Log(); !strings.Contains(log, "leads no more") {
		t.Errorf("it believes to lead:\n%s", log)
	}
	s.nodeLives()
	alone.Host.Mend()
	s.all[name] = alone
	s.ready(alone)
	s.grows()
	written()

	// One leaves for ever, and comes as a new one.
	s.removes(third, join)
	s.members("one", "three", "two")
	s.grows()
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }

// trio are the servers that should work, by name.
type trio struct {
	t    *testing.T
	all  map[string]*cluster.Cluster
	size int
	// probes are the pods that the node was asked about.
	probes int
}

func (s *trio) up(c *cluster.Cluster) {
	s.t.Helper()
	c.Launch()
	s.ready(c)
	s.all[c.Host.Name] = c
}

func (s *trio) ready(c *cluster.Cluster) {
	s.t.Helper()
	c.Eventually(60*time.Second, "ok", func() string {
		if _, err := os.Stat(filepath.Join(c.Data, "kubeconfig")); err != nil {
			return err.Error() + "\n" + c.Log()
		}
		out, _ := c.Try("get", "--raw", "/readyz")
		return out
	})
}

// eventually asks each of the servers in turn.
func (s *trio) eventually(within time.Duration, want string, got func(c *cluster.Cluster) string) {
	s.t.Helper()
	names := []string{"one", "two", "three"}
	for _, n := range names {
		if c := s.all[n]; c != nil {
			next := 0
			c.Eventually(within, want, func() string {
				next++
				if c := s.all[names[next%len(names)]]; c != nil {
					return got(c)
				}
				return ""
			})
			return
		}
	}
}

func (s *trio) members(want ...string) {
	s.t.Helper()
	for _, c := range s.all {
		c.Eventually(60*time.Second, strings.Join(want, " "), func() string {
			out, _ := c.Host.Run(s.t.Context(), c.Berth(), "server", "list", "--data-dir", c.Data)
			var names []string
			for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
				if strings.Contains(line, "  member") {
					names = append(names, strings.Fields(line)[0])
				}
			}
			return strings.Join(names, " ")
		})
	}
}

const holder = "jsonpath={.spec.holderIdentity}"

func (s *trio) leader() string {
	for _, c := range s.all {
		if out, err := c.Try("get", "lease", "-n", "kube-system", "berth-controllers", "--request-timeout=3s", "-o", holder); err == nil {
			name, _, _ := strings.Cut(out, "_")
			return name
		}
	}
	return ""
}

func (s *trio) leads(name string) {
	s.t.Helper()
	s.eventually(60*time.Second, name, func(*cluster.Cluster) string { return s.leader() })
}

// follows waits until a server leads that is not the one that was.
func (s *trio) follows(was string) {
	s.t.Helper()
	down := s.all[was]
	delete(s.all, was)
	defer func() {
		if down != nil {
			s.all[was] = down
		}
	}()
	s.eventually(60*time.Second, "another", func(*cluster.Cluster) string {
		if now := s.leader(); now != was && s.all[now] != nil {
			return "another"
		}
		return was
	})
}

// grows gives the StatefulSet one more pod.
func (s *trio) grows() {
	s.t.Helper()
	s.size++
	s.eventually(60*time.Second, "scaled", func(c *cluster.Cluster) string {
		if out, err := c.Try("scale", "sts", "db", fmt.Sprintf("--replicas=%d", s.size), "--request-timeout=10s"); err != nil {
			return out
		}
		return "scaled"
	})
	s.eventually(60*time.Second, fmt.Sprint(s.size), func(c *cluster.Cluster) string {
		out, _ := c.Try("get", "pods", "-l", "app=db", "-o", "jsonpath={.items[*].metadata.name}", "--request-timeout=10s")
		return fmt.Sprint(len(strings.Fields(out)))
	})
}

// nodeLives waits for what the node that joined by the first server says of a new pod.
func (s *trio) nodeLives() {
	s.t.Helper()
	s.probes++
	pod := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe-%d"},
  "spec": {"nodeName": "four", "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "x"}]}}`, s.probes)
	s.eventually(60*time.Second, "made", func(c *cluster.Cluster) string {
		if out, err := c.Try("apply", "-f", c.File("probe.json", pod), "--request-timeout=10s"); err != nil {
			return out
		}
		return "made"
	})
	s.eventually(60*time.Second, "172.30.0.5", func(c *cluster.Cluster) string {
		out, _ := c.Try("get", "pod", fmt.Sprintf("probe-%d", s.probes), "-o", "jsonpath={.status.hostIP}", "--request-timeout=10s")
		return out
	})
}

// write creates objects one after the other, on whatever server takes them, until
// the returned function ends it and looks whether all of them are there.
func (s *trio) write() (check func()) {
	s.t.Helper()
	var clients []kubernetes.Interface
	for _, c := range s.all {
		clients = append(clients, c.Client())
	}
	ctx, stop := context.WithCancel(s.t.Context())
	var acknowledged []string
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			name := fmt.Sprintf("written-%d", n)
			asking, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := clients[n%len(clients)].CoreV1().ConfigMaps("default").Create(asking, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			cancel()
			if err == nil {
				acknowledged = append(acknowledged, name)
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	s.t.Cleanup(func() { stop(); writing.Wait() })
	return func() {
		s.t.Helper()
		stop()
		writing.Wait()
		for name, c := range s.all {
			list, err := c.Client().CoreV1().ConfigMaps("default").List(s.t.Context(), metav1.ListOptions{})
			if err != nil {
				s.t.Fatal(err)
			}
			have := map[string]bool{}
			for _, m := range list.Items {
				have[m.Name] = true
			}
			lost := slices.DeleteFunc(slices.Clone(acknowledged), func(n string) bool { return have[n] })
			if len(lost) > 0 {
				s.t.Errorf("server %s has lost %v of %d writes", name, lost, len(acknowledged))
			}
		}
		s.t.Logf("%d writes were acknowledged", len(acknowledged))
	}
}

// removes takes the server on this host out, and lets it join again.
func (s *trio) removes(on *host.Host, join []string) {
	s.t.Helper()
	out, one := s.all[on.Name], s.all["one"]
	one.Eventually(60*time.Second, "removed", func() string {
		if text, err := one.Host.Run(s.t.Context(), one.Berth(), "server", "remove", on.Name, "--data-dir", one.Data); err != nil {
			return text
		}
		return "removed"
	})
	out.Gone(60 * time.Second)
	delete(s.all, on.Name)
	again := cluster.On(s.t, on, cluster.Bin(s.t), "--disable-agent")
	for _, c := range []*cluster.Cluster{out, again} {
		if c == again {
			c.Launch()
			c.Gone(60 * time.Second)
		}
		if log := c.Log(); !strings.Contains(log, "this server was removed from its cluster; to join again give --server and --token-file") {
			s.t.Errorf("it says:\n%s", log)
		}
	}
	s.up(cluster.On(s.t, on, cluster.Bin(s.t), join...))
}

// refusesToJoin starts servers that must not join: each ends with one line that
// says why, leaves nothing behind, and the cluster has one server as before.
func refusesToJoin(t *testing.T, on *host.Host, first, token string) {
	t.Helper()
	file := func(name, content string) string {
		path := filepath.Join(on.Dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	_, authority, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	wrong := file("wrong", "the-token-of-another-cluster."+authority)
	for want, flags := range map[string][]string{
		"--token-file: the server refuses the token":                   {"--server", first, "--token-file", wrong},
		"the server does not show the authority that the token names":  {"--server", first, "--token-file", file("other", "the-token-of-another-cluster."+strings.Repeat("0", 64))},
		"give the whole token":                                         {"--server", first, "--token-file", file("bare", "the-token-of-another-cluster")},
		"--token-file: to join a server":                               {"--server", first},
		"--server: no server answers":                                  {"--server", "https://" + on.Addr + ":1", "--token-file", token},
		"this cluster has 10.42.0.0/16, 10.43.0.0/16 and cluster.loca": {"--server", first, "--token-file", token, "--service-cidr", "10.99.0.0/16"},
		"not together with --datastore-endpoint":                       {"--server", first, "--token-file", token, "--datastore-endpoint", "http://127.0.0.1:2379"},
		"--node-name: a server one":                                    {"--server", first, "--token-file", token, "--node-name", "one"},
	} {
		c := cluster.On(t, on, cluster.Bin(t), append(flags, "--disable-agent")...)
		c.Launch()
		c.Gone(60 * time.Second)
		log := strings.TrimSpace(c.Log())
		last := log[strings.LastIndex(log, "\n")+1:]
		if !strings.HasPrefix(last, "berth: ") || !strings.Contains(last, want) || strings.Contains(log, "the-token-of-another-cluster") {
			t.Errorf("%s: it says:\n%s", want, log)
		}
		for _, name := range []string{"pki", "server-token", "etcd", "member.json", "kubeconfig"} {
			if _, err := os.Stat(filepath.Join(c.Data, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s was written", want, name)
			}
		}
	}
}
