package neighbour_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/network/cni/neighbour"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/network/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// far is another machine on the segment of lan0.
func far(t *testing.T) (handle *netlink.Handle, nic netlink.Link, ns netns.NsHandle) {
	t.Helper()
	if !nettest.Inside() {
		t.Skip("network namespaces need root")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	made := make(chan netns.NsHandle)
	go func() {
		own, err := netns.GetFromPath("/proc/self/ns/net")
		if err != nil {
			own = -1
		}
		fd := -1
		_ = link.Entering(int(own), func() error { // on a thread that ends
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return err
		})
		made <- netns.NsHandle(fd)
	}()
	ns = <-made
	if ns < 0 {
		t.Fatal("cannot make a network namespace")
	}
	t.Cleanup(func() { ns.Close() })
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "far0", PeerNamespace: netlink.NsFd(ns)}))
	lan, err := netlink.LinkByName("lan0")
	must(err)
	t.Cleanup(func() { _ = netlink.LinkDel(lan) })
	must(netlink.LinkSetUp(lan))
	handle, err = netlink.NewHandleAt(ns)
	must(err)
	t.Cleanup(handle.Close)
	nic, err = handle.LinkByName("far0")
	must(err)
	must(handle.LinkSetUp(nic))
	for _, cidr := range []string{"10.6.0.1/16", "fd00:6::1/64"} {
		addr, err := netlink.ParseAddr(cidr)
		must(err)
		addr.Flags = unix.IFA_F_NODAD
		must(handle.AddrAdd(nic, addr))
	}
	return handle, nic, ns
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// all are the answers, each once.
func all(t *testing.T, at neighbour.Place, asked ...string) string {
	t.Helper()
	answers, err := neighbour.Ask(at, addrs(asked...))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for a := range answers {
		seen[fmt.Sprint(a.Addr, " ", a.MAC, " ", a.Tentative)] = true
	}
	var out []string
	for _, ip := range asked {
		for s := range seen {
			if strings.HasPrefix(s, ip+" ") {
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, ", ")
}

func TestAsk(t *testing.T) {
	handle, nic, ns := far(t)
	mac := nic.Attrs().HardwareAddr.String()
	here := neighbour.Place{NetNS: -1, Interface: "lan0"}
	want := "10.6.0.1 " + mac + " false, fd00:6::1 " + mac + " false"
	if got := all(t, here, "10.6.0.1", "10.6.0.9", "fd00:6::1", "fd00:6::9"); got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	// Nobody learned anything from that.
	learned, err := handle.NeighList(nic.Attrs().Index, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range learned {
		if ip, _ := netip.AddrFromSlice(n.IP); !ip.IsMulticast() {
			t.Errorf("the other machine knows %s as %s", n.IP, n.HardwareAddr)
		}
	}
	// From within another namespace.
	lan, err := netlink.LinkByName("lan0")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := netlink.ParseAddr("10.6.0.2/16")
	if err := netlink.AddrAdd(lan, addr); err != nil {
		t.Fatal(err)
	}
	want = "10.6.0.2 " + lan.Attrs().HardwareAddr.String() + " false"
	if got := all(t, neighbour.Place{NetNS: int(ns), Interface: "far0"}, "10.6.0.1", "10.6.0.2"); got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
}

// Two who want the same address at once hear of each other.
func TestTwoAskAtOnce(t *testing.T) {
	_, nic, ns := far(t)
	answers, err := neighbour.Ask(neighbour.Place{NetNS: -1, Interface: "lan0"}, addrs("10.6.0.7", "fd00:6::7"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := neighbour.Ask(neighbour.Place{NetNS: int(ns), Interface: "far0"}, addrs("10.6.0.7", "fd00:6::7")); err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]bool{}
	for a := range answers {
		if !a.Tentative || a.MAC.String() != nic.Attrs().HardwareAddr.String() {
			t.Errorf("%+v", a)
		}
		seen[a.Addr] = true
	}
	if len(seen) != 2 {
		t.Errorf("heard of %v", seen)
	}
}

func TestNobodyToAsk(t *testing.T) {
	_, _, _ = far(t)
	open := func() int {
		files, _ := os.ReadDir("/proc/self/fd")
		return len(files)
	}
	before := open()
	if _, err := neighbour.Ask(neighbour.Place{NetNS: -1, Interface: "lan7"}, addrs("10.6.0.1")); err == nil || !strings.Contains(err.Error(), "ask on interface lan7 who has 10.6.0.1") {
		t.Error(err)
	}
	lan, _ := netlink.LinkByName("lan0")
	if err := netlink.LinkSetDown(lan); err != nil {
		t.Fatal(err)
	}
	if _, err := neighbour.Ask(neighbour.Place{NetNS: -1, Interface: "lan0"}, addrs("10.6.0.1")); err == nil || !strings.Contains(err.Error(), "network is down") {
		t.Error(err)
	}
	for began := time.Now(); open() > before && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	if now := open(); now > before {
		t.Errorf("%d files are left open", now-before)
	}
}
