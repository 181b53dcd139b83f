package cluster

import (
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/host"
)

// Agent is another machine of the cluster, not started yet. It has no
// kubeconfig: ask the server.
func (c *Cluster) Agent(t testing.TB, h *host.Host, flags ...string) *Cluster {
	t.Helper()
	return On(t, h, c.bin, append([]string{"--server", "https://" + c.Host.Addr + ":6443", "--token", c.Token()}, flags...)...).AsAgent()
}

// AsAgent makes c, which does not run yet, an agent that is told by its flags alone
// where to join.
func (c *Cluster) AsAgent() *Cluster {
	c.role = "agent"
	return c
}

// Token is what machines join with.
func (c *Cluster) Token() string {
	c.t.Helper()
	return strings.TrimSpace(c.Host.MustRun(c.t.Context(), c.Berth(), "token", "--data-dir", c.Data))
}

// ServerToken is a file with the token of the cluster's servers.
func (c *Cluster) ServerToken() string {
	c.t.Helper()
	return c.File("server-token", c.Host.MustRun(c.t.Context(), c.Berth(), "token", "--server", "--data-dir", c.Data))
}
