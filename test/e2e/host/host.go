// Package host makes test machines: a "host" is a set of namespaces (network,
// mounts, processes) with a data directory of its own. Whatever runs in it ends
// with it, so nothing is left behind, also after a failed test.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
)

// role is set in the environment of the process that is a host's first.
const role = "BERTH_TEST_HOST"

// Main must be called first in TestMain: in a host's first process it never returns.
func Main() {
	if os.Getenv(role) == "" {
		go endWhenTold()
		return
	}
	if err := first(); err != nil {
		fmt.Fprintln(os.Stderr, "test host:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// first is process 1 of a host: it mounts /proc, says that it is up, reaps what
// is orphaned, and ends when its standard input is closed, which is when the
// test process is gone.
func first() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// /run is the host's own: sockets of two hosts must not meet.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			for {
				pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
				if pid <= 0 || err != nil {
					break
				}
			}
		}
	}()
	fmt.Println("up")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return nil
}

// Host is one test machine.
type Host struct {
	Name string
	// Addr is its address on the wire that it has besides loopback.
	Addr string
	// Dir is where its data directory and files lie.
	Dir string

	t     testing.TB
	first *exec.Cmd
	pid   int
	stdin *os.File
}

// New makes a host that ends with the test. Root is needed.
func New(t testing.TB, name string) *Host {
	t.Helper()
	return newAt(t, name, "172.30.0.2")
}

func newAt(t testing.TB, name, addr string) *Host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "berth-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	// Pods with users of their own have files below.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	h := &Host{Name: name, Addr: addr, Dir: dir, t: t}
	living.add(h)
	t.Cleanup(func() {
		living.remove(h)
		h.off()
		if err := removeTraces(dir); err != nil {
			t.Error(err)
		}
	})
	h.boot()
	return h
}

// Reboot cuts the power: every process, mount and wire of the host is gone at
// once. It comes up with the same disk and nothing else.
func (h *Host) Reboot() {
	h.t.Helper()
	h.off()
	h.boot()
}

// boot starts the host's first process in namespaces of its own.
func (h *Host) boot() {
	h.t.Helper()
	read, write, err := os.Pipe()
	h.must(err)
	h.stdin = write
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), role+"="+h.Name)
	cmd.Stdin, cmd.Stderr = read, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// No Pdeathsig: it fires when the thread that forked ends, not the process.
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
	}
	said, err := cmd.StdoutPipe()
	h.must(err)
	h.must(cmd.Start())
	read.Close()
	h.first, h.pid = cmd, cmd.Process.Pid
	if line, err := readLine(said); err != nil || line != "up" {
		h.t.Fatalf("the test host did not come up: %q, %v", line, err)
	}
	h.wire()
}

// off kills process 1, which ends every process of the host; its mounts and
// its network go with the last of them.
func (h *Host) off() {
	if h.first == nil {
		return
	}
	_ = h.first.Process.Kill()
	_ = h.first.Wait()
	h.stdin.Close()
	h.first = nil
	if err := removeLoops(h.Dir); err != nil {
		h.t.Error(err)
	}
}

// wire gives the host loopback and one end of a veth pair, whose other end is
// the rest of the world: nothing.
func (h *Host) wire() {
	h.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ns, err := netns.GetFromPid(h.pid)
	h.must(err)
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	h.must(err)
	defer handle.Close()
	h.must(handle.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "world"}))
	for _, name := range []string{"lo", "eth0", "world"} {
		l, err := handle.LinkByName(name)
		h.must(err)
		h.must(handle.LinkSetUp(l))
		if name == "eth0" {
			addr, err := netlink.ParseAddr(h.Addr + "/24")
			h.must(err)
			h.must(handle.AddrAdd(l, addr))
		}
	}
}

func (h *Host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// Command is a command that runs on the host.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	all := append([]string{"--target", strconv.Itoa(h.pid), "--net", "--mount", "--pid", "--uts", "--", name}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", all...)
	cmd.Dir = "/"
	return cmd
}

// Run runs a command on the host and returns what it printed to both streams.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := h.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	return out.String(), err
}

// MustRun is Run for commands that must succeed.
func (h *Host) MustRun(ctx context.Context, name string, args ...string) string {
	h.t.Helper()
	out, err := h.Run(ctx, name, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

// Processes lists the host's processes by their command lines, without its first.
func (h *Host) Processes() []string {
	out := h.MustRun(h.t.Context(), "sh", "-c", `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null; echo; done`)
	var all []string
	for _, line := range strings.Split(out, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && line != "/proc/self/exe" && !strings.HasPrefix(line, "sh -c for p in") && !strings.HasPrefix(line, "tr ") {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

func readLine(r interface{ Read([]byte) (int, error) }) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := r.Read(b); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// removeAll removes a directory whose mounts were in a namespace that is just
// going; the kernel may need a moment.
func removeAll(dir string) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// removeCgroups removes the control groups of the instance whose data directory
// is below dir: they are no part of any namespace that a host has.
func removeCgroups(dir string) error {
	name := "berth-" + datadir.Dir(filepath.Join(dir, "data")).ID()
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	var failed error
	for _, root := range append(roots, "/sys/fs/cgroup/"+name) {
		if err := removeCgroup(root); err != nil {
			failed = errors.Join(failed, fmt.Errorf("remove %s: %w", root, err))
		}
	}
	return failed
}

func removeCgroup(root string) error {
	deadline := time.Now().Add(time.Minute)
	for {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		slices.Reverse(dirs)
		var err error
		for _, d := range dirs {
			if e := unix.Rmdir(d); e != nil && !errors.Is(e, unix.ENOENT) {
				err = e
			}
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
