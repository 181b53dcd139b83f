package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// authorityOf changes which authority a token names.
func authorityOf(token, authority string) string {
	parts := strings.Split(token, ".")
	parts[2] = authority
	return strings.Join(parts, ".")
}

// agentsRefused starts agents that must not become nodes: each ends with one line
// that says why, and leaves nothing behind that the next would stumble over.
func agentsRefused(t *testing.T, c *cluster.Cluster, on *host.Host) {
	t.Helper()
	berth := func(args ...string) string {
		return strings.TrimSpace(c.Host.MustRun(t.Context(), c.Berth(), append(args, "--data-dir", c.Data)...))
	}
	made := func(ttl string) (token, id string) {
		token = berth("token", "create", "--ttl", ttl)
		id, _, _ = strings.Cut(token, ".")
		return token, id
	}
	good := c.Token()
	deleted, id := made("1h")
	berth("token", "delete", id)
	expired, id := made("1s")
	c.Eventually(60*time.Second, "gone", func() string {
		if list := berth("token", "list"); strings.Contains(list, id) {
			return list
		}
		return "gone"
	})
	foreign := authorityOf(good, strings.Repeat("0", 64))
	server := "https://" + c.Host.Addr + ":6443"
	for _, x := range []struct {
		want  string
		flags []string
	}{
		{"berth: --token: it expired at ", []string{"--server", server, "--token", expired}},
		{"berth: --token: the servers refuse it; make another", []string{"--server", server, "--token", deleted}},
		{"berth: --token: " + server + ": the server does not show the authority that the token names", []string{"--server", server, "--token", foreign}},
		{"berth: --token: this is no join token", []string{"--server", server, "--token", "abcdef.0123456789abcdef"}},
		{"berth: --token: this machine has not joined yet", []string{"--server", server}},
		{"berth: --server: say where a server of the cluster is", []string{"--token", good}},
	} {
		a := cluster.On(t, on, c.Bin(), x.flags...).AsAgent()
		says := refusedAgent(t, a, x.want)
		if left, err := os.ReadDir(filepath.Join(a.Data, "pki")); len(left) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left behind in pki: %v %v", says, left, err)
		}
		for _, name := range []string{"cni", "containerd", "network.json"} {
			if _, err := os.Stat(filepath.Join(a.Data, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: there is %s: %v", says, name, err)
			}
		}
	}
	same(t, "nodes", c.Ask("get", "nodes", "-o", "name"), "node/"+c.Host.Name)
}

// refusedAgent starts an agent that is to end at once with this line.
func refusedAgent(t *testing.T, a *cluster.Cluster, want string) (last string) {
	t.Helper()
	a.Launch()
	a.Gone(60 * time.Second)
	lines := strings.Split(strings.TrimSpace(a.Log()), "\n")
	last = lines[len(lines)-1]
	if !strings.HasPrefix(last, want) {
		t.Errorf("the agent says\n%s\nwant %s", strings.Join(lines, "\n"), want)
	}
	return last
}

// foreignToken is what a machine that has joined is told when it is given a token
// of another cluster: it does not go on as if nothing had been said.
func foreignToken(t *testing.T, c *cluster.Cluster, on *host.Host) {
	t.Helper()
	a := c.Agent(t, on, "--token", authorityOf(c.Token(), strings.Repeat("0", 64)))
	refusedAgent(t, a, fmt.Sprintf("berth: --token: it is another cluster's: %s belongs to the cluster of the servers %s:6443; ", a.Data, c.Host.Addr))
}
