package cluster

import (
	"context"
	"strings"
	"syscall"
	"time"
)

// Kill kills the server with SIGKILL wherever it is, also while it starts or
// when it has ended already, and waits for its end.
func (c *Cluster) Kill() {
	c.t.Helper()
	pids := c.Host.Find(func(command string) bool { return strings.HasPrefix(command, c.Program()) })
	if len(pids) > 0 {
		// One that ends by itself right now is no failure.
		_, _ = c.Host.Run(c.t.Context(), "kill", append([]string{"-9"}, pids...)...)
	}
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		c.t.Fatal("the server did not end within a minute of SIGKILL")
	}
}

// Freeze stops the server where it is, as a machine does that is suspended.
func (c *Cluster) Freeze() {
	c.t.Helper()
	pids := c.Host.Find(func(command string) bool { return strings.HasPrefix(command, c.Program()) })
	c.Host.MustRun(c.t.Context(), "kill", append([]string{"-STOP"}, pids...)...)
	c.t.Cleanup(c.Thaw)
}

// Thaw lets a frozen server go on. The program that entered the host for it has
// stopped with it, and lets it go on when it does.
func (c *Cluster) Thaw() { _ = c.run.Process.Signal(syscall.SIGCONT) }

// Gone waits until the server has ended by itself.
func (c *Cluster) Gone(within time.Duration) {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(within):
		c.t.Fatalf("the server has not ended within %s", within)
	}
}

// Await waits until pods can run on a server that was launched.
func (c *Cluster) Await() *Cluster {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := c.Host.Run(ctx, c.Berth(), "status", "--wait", "--data-dir", c.Data, "--timeout", "120s"); err != nil {
		c.t.Fatalf("the cluster did not come up: %v\n%s", err, out)
	}
	return c
}

// Ended is told when the server ends, once: who takes it launches the next.
func (c *Cluster) Ended() <-chan error { return c.done }
