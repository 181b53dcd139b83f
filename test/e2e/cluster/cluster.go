// Package cluster runs the built berth on a test host and drives it with the
// real kubectl.
package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/host"
)

// Bin is the folder of the built programs: bin/ of the repository, or
// BERTH_BIN to test another build.
func Bin(t testing.TB) string {
	t.Helper()
	bin := os.Getenv("BERTH_BIN")
	if bin == "" {
		_, file, _, _ := runtime.Caller(0)
		bin = filepath.Join(filepath.Dir(file), "..", "..", "..", "bin")
	}
	if _, err := os.Stat(filepath.Join(bin, "berth")); err != nil {
		t.Fatalf("%v: build it first (make build)", err)
	}
	return bin
}

// Cluster is one instance on a host.
type Cluster struct {
	Host *host.Host
	// Data is its data directory.
	Data string
	bin  string
	t    testing.TB

	// namespace is where kubectl works; "" leaves it to kubectl.
	namespace string

	role  string // "server" or "agent"
	flags []string
	run   *exec.Cmd
	log   *logBuffer
	done  chan error
}

// New makes a host with a cluster that does not run yet.
func New(t testing.TB, name string, flags ...string) *Cluster {
	t.Helper()
	h := host.New(t, name)
	return On(t, h, Bin(t), flags...)
}

// On puts a cluster on a host, from the programs in bin.
func On(t testing.TB, h *host.Host, bin string, flags ...string) *Cluster {
	c := &Cluster{Host: h, Data: filepath.Join(h.Dir, "data"), bin: bin, t: t, role: "server", flags: flags}
	t.Cleanup(func() {
		if t.Failed() && c.log != nil {
			t.Logf("the server's last words:\n%s", c.log.tail(60))
			t.Logf("what the cluster says:\n%s", c.state("--all-namespaces"))
		}
	})
	return c
}

// state is what somebody who looks into a failure asks first, where a flag of
// kubectl says.
func (c *Cluster) state(where string) string {
	if c.role != "server" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), time.Minute)
	defer cancel()
	var all strings.Builder
	for _, ask := range [][]string{
		{"get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}{.spec.taints}{"\n"}{range .status.conditions[*]}  {.type}={.status} {.message}{"\n"}{end}{end}`},
		{"get", "pods", where, "-o", "wide"},
		{"get", "events", where, "--sort-by=.lastTimestamp"},
	} {
		out, err := c.Host.Run(ctx, filepath.Join(c.bin, "kubectl"), append([]string{"--kubeconfig", filepath.Join(c.Data, "kubeconfig"), "--request-timeout", "20s"}, ask...)...)
		lines := strings.Split(out, "\n")
		fmt.Fprintf(&all, "%s\n", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		if err != nil {
			break // it runs no more
		}
	}
	return all.String()
}

// Use switches to the programs in another folder from the next Start on.
func (c *Cluster) Use(bin string) { c.bin = bin }

// Start starts the server and waits until pods can run.
func (c *Cluster) Start() *Cluster {
	c.t.Helper()
	c.Launch()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := c.Host.Run(ctx, c.Berth(), "status", "--wait", "--data-dir", c.Data, "--timeout", "120s"); err != nil {
		c.t.Fatalf("the cluster did not come up: %v\n%s", err, out)
	}
	return c
}

// anyDisk lets tests run on a machine whose disk is nearly full.
const anyDisk = "nodefs.available=0%,nodefs.inodesFree=0%"

// Launch starts the server and does not wait.
func (c *Cluster) Launch() {
	c.t.Helper()
	args := append([]string{c.role, "--data-dir", c.Data, "--node-name", c.Host.Name, "--log-level", "info", "--eviction-hard", anyDisk}, c.flags...)
	// The server's life is not the context's: tests end it by signals.
	cmd := c.Host.Command(context.WithoutCancel(c.t.Context()), c.Berth(), args...)
	c.log = &logBuffer{}
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.run, c.done = cmd, make(chan error, 1)
	done := c.done
	go func() { done <- cmd.Wait() }()
}

// Berth is the path of the program.
func (c *Cluster) Berth() string { return filepath.Join(c.bin, "berth") }

// Signal sends the server a signal by name ("TERM", "KILL") and waits for its
// end. It returns how long that took.
func (c *Cluster) Signal(name string) time.Duration {
	c.t.Helper()
	pid, err := os.ReadFile(filepath.Join(c.Data, "lock"))
	if err != nil {
		c.t.Fatal(err)
	}
	began := time.Now()
	// The number in the lock file is the host's own.
	c.Host.MustRun(c.t.Context(), "sh", "-c", fmt.Sprintf("kill -%s %s", name, strings.TrimSpace(string(pid))))
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		c.t.Fatalf("the server did not end within a minute of SIG%s", name)
	}
	return time.Since(began)
}

// Log is what the server has printed since its last start.
func (c *Cluster) Log() string { return c.log.tail(1 << 20) }

// Try runs kubectl and returns what it printed.
func (c *Cluster) Try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	return c.Host.Run(ctx, filepath.Join(c.bin, "kubectl"), append(c.connection(), args...)...)
}

// connection are the flags that lead kubectl to this cluster and namespace.
func (c *Cluster) connection() []string {
	flags := []string{"--kubeconfig", filepath.Join(c.Data, "kubeconfig")}
	if c.namespace != "" {
		flags = append(flags, "--namespace", c.namespace)
	}
	return flags
}

// Kubectl runs kubectl, which must succeed, and returns what it printed
// without the last newline.
func (c *Cluster) Kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.Try(args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(out, "\n")
}

// Refused runs kubectl, which must fail, and returns what it said.
func (c *Cluster) Refused(args ...string) string {
	c.t.Helper()
	out, err := c.Try(args...)
	if err == nil {
		c.t.Fatalf("kubectl %s succeeded:\n%s", strings.Join(args, " "), out)
	}
	return strings.TrimRight(out, "\n")
}

// Apply applies a manifest given as text.
func (c *Cluster) Apply(manifest string, args ...string) string {
	c.t.Helper()
	return c.Kubectl(append([]string{"apply", "-f", c.File("manifest.yaml", manifest)}, args...)...)
}

// File writes a file that the host sees and returns its path.
func (c *Cluster) File(name, content string) string {
	c.t.Helper()
	path := c.Path(name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// Import imports an image archive.
func (c *Cluster) Import(file string) {
	c.t.Helper()
	c.Host.MustRun(c.t.Context(), c.Berth(), "image", "import", "--data-dir", c.Data, file)
}

// Containers lists the running containers by their IDs.
func (c *Cluster) Containers() string {
	c.t.Helper()
	return c.Kubectl("get", "pods", "-A", "--sort-by=.metadata.name", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.podIP} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}{"\n"}{end}`)
}

// Patience is the least that a test waits: a machine that runs all tests at once
// may be slow, and that is no failure.
const Patience = 150 * time.Second

// Eventually asks until got equals want or the time, Patience at least, is up.
func (c *Cluster) Eventually(within time.Duration, want string, got func() string) {
	c.t.Helper()
	within = max(within, Patience)
	deadline := time.Now().Add(within)
	for {
		last := got()
		if last == want {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("after %s:\n%s\nwant:\n%s", within, last, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// logBuffer keeps what a server prints.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) tail(lines int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := strings.Split(b.buf.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
