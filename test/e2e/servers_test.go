package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// Two servers on one etcd: one leads, the other takes over when it stops, when it
// is killed and when it is frozen; a node goes on with the one that is left.
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
	two := cluster.On(t, network.Host("two"), cluster.Bin(t), flags...)
	copyKeys(t, one, two)
	up(two)
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
		c.Eventually(30*time.Second, "Pending", func() string {
			return c.Kubectl("get", "pods", "-l", "app="+name, "-o", "jsonpath={.items[*].status.phase}")
		})
	}
	leads(one, "one")
	works(two, "first")

	one.Signal("TERM")
	t.Logf("after a clean stop the other leads within %s", leads(two, "two"))
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
	two.Kill()
	t.Logf("after kill -9 the other leads within %s", leads(one, "one"))
	works(one, "third")

	// Frozen, it neither leads nor writes when it wakes.
	up(two)
	one.Freeze()
	t.Logf("after it was frozen the other leads within %s", leads(two, "two"))
	works(two, "fourth")
	one.Thaw()
	one.Eventually(30*time.Second, "true", func() string {
		if strings.Contains(one.Log(), "leads no more") {
			return "true"
		}
		return ""
	})
	leads(one, "two")
	works(one, "fifth")
}

// copyKeys gives a second server what it must share with the first.
func copyKeys(t *testing.T, from, to *cluster.Cluster) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(to.Data, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "join.token"} {
		text, err := os.ReadFile(filepath.Join(from.Data, "pki", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to.Data, "pki", name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
