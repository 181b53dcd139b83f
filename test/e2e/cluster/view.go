package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// In is the same cluster as one test sees it: with a namespace of its own, which
// kubectl works in, and a folder of its own for files.
func (c *Cluster) In(t testing.TB, namespace string) *Cluster {
	t.Helper()
	view := *c
	view.t, view.namespace = t, namespace
	if err := os.MkdirAll(view.Path(""), 0o755); err != nil {
		t.Fatal(err)
	}
	view.Kubectl("create", "namespace", namespace)
	// Now, not when the whole cluster's test ends: by then others have changed it.
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the cluster says:\n%s", view.state("--namespace="+namespace))
		}
	})
	return &view
}

// Namespace is where kubectl works; "" leaves it to kubectl.
func (c *Cluster) Namespace() string { return c.namespace }

// Bin is the folder of the programs that the cluster runs.
func (c *Cluster) Bin() string { return c.bin }

// Path is where File writes name.
func (c *Cluster) Path(name string) string { return filepath.Join(c.Host.Dir, c.namespace, name) }

// Ask is a question to kubectl that may be put again until the answer is there.
func (c *Cluster) Ask(args ...string) func() string {
	return func() string { return c.Kubectl(args...) }
}

// Result is what became of a command.
type Result struct {
	Out, Err string
	Code     int
}

// Do runs kubectl and returns both streams and the exit code.
func (c *Cluster) Do(args ...string) Result {
	c.t.Helper()
	return c.result(c.KubectlCommand(c.t.Context(), args...))
}

// ExecLast runs a command in a container that ends by it, maybe before the command
// does, which then is killed with the rest.
func (c *Cluster) ExecLast(args ...string) {
	c.t.Helper()
	if r := c.Do(append([]string{"exec"}, args...)...); r.Code != 0 && r.Code != 128+int(syscall.SIGKILL) {
		c.t.Fatalf("kubectl exec %s: %d %s", strings.Join(args, " "), r.Code, r.Err)
	}
}

// Run runs another program, "berth" for instance, on the host.
func (c *Cluster) Run(name string, args ...string) Result {
	c.t.Helper()
	return c.result(c.Host.Command(c.t.Context(), name, args...))
}

func (c *Cluster) result(cmd *exec.Cmd) Result {
	c.t.Helper()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	r := Result{Out: out.String(), Err: problems.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code = exit.ExitCode()
	} else if err != nil {
		c.t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	return r
}

// KubectlCommand is a kubectl that the caller starts and stops.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	return c.Host.Command(ctx, filepath.Join(c.bin, "kubectl"), append(c.connection(), args...)...)
}

// Background is a command that runs beside the test.
type Background struct {
	mu  sync.Mutex
	out bytes.Buffer
}

// Spawn starts kubectl and lets it run until the test ends.
func (c *Cluster) Spawn(args ...string) *Background {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	cmd := c.KubectlCommand(ctx, args...)
	b := &Background{}
	cmd.Stdout, cmd.Stderr = b, b
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return b
}

func (b *Background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

// Said is what the command has printed until now.
func (b *Background) Said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}
