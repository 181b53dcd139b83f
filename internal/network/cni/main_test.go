package cni

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const inside = "BERTH_TEST_INSIDE_NETNS"

// berthCNI is the built CNI plugin.
var berthCNI string

// TestMain runs the tests again in a network namespace of their own: the
// server's goroutines run on any thread, so the whole process must be inside.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Println("skipped: network namespaces need root")
		os.Exit(0)
	}
	if os.Getenv(inside) == "" {
		os.Exit(again())
	}
	os.Exit(run(m))
}

func again() int {
	dir, err := os.MkdirTemp("", "cni")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "berth-cni"), "berth.dev/berth/cmd/berth-cni")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build the plugin: %v\n%s", err, out)
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	err = cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.ExitCode()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func run(m *testing.M) int {
	berthCNI = filepath.Join(os.Getenv(inside), "berth-cni")
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "up0", 1440
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer0"}); err != nil {
		fmt.Println("this does not look like a namespace of our own:", err)
		return 1
	}
	for _, name := range []string{"up0", "peer0", "lo"} {
		l, _ := netlink.LinkByName(name)
		if name == "up0" {
			addr, _ := netlink.ParseAddr("192.0.2.7/24")
			_ = netlink.AddrAdd(l, addr)
		}
		_ = netlink.LinkSetUp(l)
	}
	return m.Run()
}

// space makes an empty network namespace and returns a path to it.
func space(t *testing.T) string {
	t.Helper()
	fds := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd := -1
		if err := unix.Unshare(unix.CLONE_NEWNET); err == nil {
			fd, _ = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		fds <- fd
	}()
	fd := <-fds
	if fd < 0 {
		t.Fatal("cannot make a network namespace")
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
}

// within runs f on a thread in a namespace.
func within(t *testing.T, path string, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(path)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// via is the interface of the way to an address.
func via(t *testing.T, to string) string {
	t.Helper()
	routes, err := netlink.RouteGet(net.ParseIP(to))
	if err != nil || len(routes) == 0 {
		t.Error(to, err)
		return ""
	}
	l, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		t.Error(err)
		return ""
	}
	return l.Attrs().Name
}

// ask is get from the namespace of this thread: HTTP clients connect on others.
func ask(t *testing.T, to string) string {
	t.Helper()
	return from(t, "", to)
}

// client asks from a certain address.
func client(t *testing.T, source, to, want string) {
	t.Helper()
	if got := from(t, source, to); got != want {
		t.Errorf("%s says %q to %s", to, got, source)
	}
}

func from(t *testing.T, source, to string) string {
	t.Helper()
	d := net.Dialer{Timeout: time.Minute}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	c, err := d.Dial("tcp", to+":80")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	b, _ := io.ReadAll(c)
	_, body, _ := strings.Cut(string(b), "\r\n\r\n")
	return body
}

// pause is between two looks at something that comes about by itself.
func pause() { time.Sleep(10 * time.Millisecond) }
