package link

import (
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inSpace runs f on a thread of its own in a fresh network namespace, which
// goes when the thread ends.
func inSpace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error("unshare:", err)
			return
		}
		f(t)
	}()
	<-done
}

// space makes another empty network namespace.
func space(t testing.TB) int {
	t.Helper()
	fds := make(chan int)
	go func() {
		runtime.LockOSThread()
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
	return fd
}

// within runs f in a network namespace.
func within(t testing.TB, fd int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(fd, unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error("setns:", err)
	}
}

func wire(fd int, id string, addrs ...string) Wire {
	w := Wire{Host: HostName(id, "eth0"), Pod: "eth0", NetNS: fd, Owner: "default/" + id, MTU: 1500, Sources: cluster.NodeIPs}
	for _, a := range addrs {
		w.Addrs = append(w.Addrs, netip.MustParseAddr(a))
	}
	return w
}

// uplink gives this namespace an interface with a default route.
func uplink(t *testing.T, cidrs ...string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "up0", 1450
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer0"}))
	up, err := netlink.LinkByName("up0")
	check(t, err)
	peer, err := netlink.LinkByName("peer0")
	check(t, err)
	for _, c := range cidrs {
		addr, err := netlink.ParseAddr(c)
		check(t, err)
		addr.Flags = unix.IFA_F_NODAD
		check(t, netlink.AddrAdd(up, addr))
	}
	check(t, netlink.LinkSetUp(peer))
	check(t, netlink.LinkSetUp(up))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func soon() time.Time { return time.Now().Add(time.Minute) }
