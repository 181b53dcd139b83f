package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// Two servers on one etcd, the second with nothing but the token: one leads, the
// other takes over when it stops, when it is killed and when it is frozen; a node
// goes on with the one that is left, and the kubernetes Service too.
func TestTwoServers(t *testing.T) {
	network := host.NewSwitch(t)
	store := network.Host("store")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	etcd := store.Command(t.Context(), program)
	etcd.Env = append(os.Environ(), etcdRole+"="+filepath.Join(store.Dir, "etcd"), etcdAddress+"="+store.Addr)
	etcd.Stderr = os.Stderr
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--disable-agent", "--datastore-endpoint", "http://" + store.Addr + ":2379"}
	up := func(c *cluster.Cluster) {
		t.Helper()
		c.Launch()
		c.Eventually(60*time.Second, "ok", func() string {
			if _, err := os.Stat(filepath.Join(c.Data, "kubeconfig")); err != nil {
				return err.Error()
			}
			out, _ := c.Try("get", "--raw", "/readyz")
			return out
		})
	}
	one := cluster.On(t, network.Host("one"), cluster.Bin(t), flags...)
	up(one)
	second := network.Host("two")
	refusesWrongToken(t, second, flags)
	two := cluster.On(t, second, cluster.Bin(t), append([]string{"--token-file", one.ServerToken()}, flags...)...)
	up(two)
	for _, name := range []string{"ca.key", "front-proxy-ca.key", "sa.key", "join.token"} {
		mine, err1 := os.ReadFile(filepath.Join(one.Data, "pki", name))
		theirs, err2 := os.ReadFile(filepath.Join(two.Data, "pki", name))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(mine, theirs) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
	reached := func(c *cluster.Cluster, want ...*cluster.Cluster) time.Duration {
		t.Helper()
		var addresses []string
		for _, w := range want {
			addresses = append(addresses, w.Host.Addr)
		}
		slices.Sort(addresses)
		began := time.Now()
		c.Eventually(60*time.Second, strings.Join(addresses, " "), func() string {
			out, _ := c.Try("get", "endpointslice", "kubernetes", "-o", "jsonpath={.endpoints[*].addresses[*]}")
			return out
		})
		return time.Since(began).Round(10 * time.Millisecond)
	}
	reached(one, one, two)
	third := network.Host("three")
	node := one.Agent(t, third)
	node.Launch()
	two.Eventually(60*time.Second, "True", func() string {
		out, _ := two.Try("get", "node", "three", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		return out
	})
	leads := func(c *cluster.Cluster, who string) time.Duration {
		t.Helper()
		began := time.Now()
		c.Eventually(60*time.Second, who, func() string {
			out, _ := c.Try("get", "lease", "-n", "kube-system", "berth-controllers", "-o", "jsonpath={.spec.holderIdentity}")
			name, _, _ := strings.Cut(out, "_")
			return name
		})
		return time.Since(began).Round(10 * time.Millisecond)
	}
	works := func(c *cluster.Cluster, name string) {
		t.Helper()
		c.Kubectl("create", "deployment", name, "--image=x")
		c.Eventually(60*time.Second, "Pending", func() string {
			return c.Kubectl("get", "pods", "-l", "app="+name, "-o", "jsonpath={.items[*].status.phase}")
		})
	}
	leads(one, "one")
	works(two, "first")

	one.Signal("TERM")
	t.Logf("after a clean stop the other leads within %s", leads(two, "two"))
	reached(two, two)
	works(two, "second")
	renewed := func() string {
		return two.Kubectl("get", "lease", "-n", "kube-node-lease", "three", "-o", "jsonpath={.spec.renewTime}")
	}
	before := renewed()
	two.Eventually(60*time.Second, "true", func() string {
		if renewed() != before {
			return "true"
		}
		return before
	})

	up(one)
	reached(one, one, two)
	two.Kill()
	t.Logf("after kill -9 the other leads within %s", leads(one, "one"))
	t.Logf("and the Service loses it within another %s", reached(one, one))
	works(one, "third")

	// Frozen, it neither leads nor writes when it wakes.
	up(two)
	one.Freeze()
	t.Logf("after it was frozen the other leads within %s", leads(two, "two"))
	works(two, "fourth")
	reached(two, two)
	one.Thaw()
	one.Eventually(60*time.Second, "true", func() string {
		if strings.Contains(one.Log(), "leads no more") {
			return "true"
		}
		return ""
	})
	leads(one, "two")
	reached(one, one, two)
	works(one, "fifth")
}

// refusesWrongToken starts a server with another cluster's token and with none:
// each ends at once with one line, and leaves no key behind.
func refusesWrongToken(t *testing.T, on *host.Host, flags []string) {
	t.Helper()
	wrong := filepath.Join(on.Dir, "wrong")
	if err := os.WriteFile(wrong, []byte("the-token-of-another-cluster\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{"--token-file", wrong}, nil} {
		c := cluster.On(t, on, cluster.Bin(t), append(more, flags...)...)
		c.Launch()
		c.Gone(60 * time.Second)
		if log := c.Log(); !strings.Contains(log, "berth: --token: ") || strings.Contains(log, "the-token-of-another-cluster") {
			t.Errorf("it says:\n%s", log)
		}
		for _, name := range []string{"pki", "server-token", "kubeconfig"} {
			if _, err := os.Stat(filepath.Join(c.Data, name)); err == nil {
				t.Errorf("%s was written", name)
			}
		}
	}
}

// The embedded datastore holds the keys too: a server that has lost all of them is
// the same cluster's again, and nobody else's token opens them.
func TestLostKeysComeBack(t *testing.T) {
	c := cluster.New(t, "lost", "--disable-agent")
	c.Launch()
	shared := filepath.Join(c.Data, "pki", "shared.json")
	c.Eventually(60*time.Second, "there", func() string {
		if _, err := os.Stat(shared); err != nil {
			return err.Error()
		}
		return "there"
	})
	authority := filepath.Join(c.Data, "pki", "ca.key")
	before, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	c.Signal("TERM")
	if err := os.RemoveAll(filepath.Join(c.Data, "pki")); err != nil {
		t.Fatal(err)
	}
	wrong := cluster.On(t, c.Host, cluster.Bin(t), "--disable-agent", "--token", "the-token-of-another-cluster")
	wrong.Launch()
	wrong.Gone(60 * time.Second)
	if log := wrong.Log(); !strings.Contains(log, "berth: --token: ") || !strings.Contains(log, "use --token-file") {
		t.Errorf("it says:\n%s", log)
	}
	if _, err := os.Stat(authority); err == nil {
		t.Error("keys were written with a wrong token")
	}
	c.Launch()
	c.Eventually(60*time.Second, "ok", func() string {
		out, _ := c.Try("get", "--raw", "/readyz")
		return out
	})
	if after, err := os.ReadFile(authority); err != nil || !bytes.Equal(after, before) {
		t.Errorf("another authority: %v", err)
	}

	// A new token is in force when the server has started again.
	said := c.Host.MustRun(t.Context(), "sh", "-c", c.Berth()+" token --server --rotate --data-dir "+c.Data+" 2>/dev/null")
	fresh, hash, _ := strings.Cut(strings.TrimSpace(said), ".")
	c.Signal("TERM")
	c.Launch()
	c.Eventually(60*time.Second, fresh+"."+hash, func() string {
		out, err := c.Host.Run(t.Context(), c.Berth(), "token", "--server", "--data-dir", c.Data)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(out)
	})
}
