package cni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// told collects events.
type told struct {
	mu     sync.Mutex
	events []string
}

func (e *told) Event(_ runtime.Object, kind, reason, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, kind+" "+reason+" "+message)
}

func (e *told) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	e.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

func (e *told) AnnotatedEventf(o runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	e.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

func (e *told) last() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.events) == 0 {
		return ""
	}
	return e.events[len(e.events)-1]
}

// holds gives the other machine an address, or takes it away.
func holds(t *testing.T, other, cidr string, yes bool) (mac string) {
	t.Helper()
	within(t, other, func() {
		far, err := netlink.LinkByName("far0")
		check(t, err)
		mac = far.Attrs().HardwareAddr.String()
		addr, err := netlink.ParseAddr(cidr)
		check(t, err)
		addr.Flags = unix.IFA_F_NODAD
		if yes {
			check(t, netlink.AddrReplace(far, addr))
		} else {
			check(t, netlink.AddrDel(far, addr))
		}
	})
	return mac
}

// kept makes a pod until that fails with nothing made: the first time an answer
// may come when the pod is made already, and on a busy machine more than once.
func kept(t *testing.T, s *Server, dir datadir.Dir, ns, want string) {
	t.Helper()
	for range 50 {
		_, failed := exe(t, dir, "ADD", "a", ns, args("a", "u"))
		if failed != nil {
			if !strings.Contains(failed.Error(), want) {
				t.Fatalf("%v, want %s", failed, want)
			}
			nothing(t, s, ns)
			return
		}
		if err := s.Clear(t.Context(), "a"); err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, failed := exe(t, dir, "DEL", "a", ns, args("a", "u")); failed != nil {
			t.Error(failed)
		}
	}
	t.Fatalf("the pod is made, want %s", want)
}

// nothing in the pod's namespace is made.
func nothing(t *testing.T, s *Server, ns string) {
	t.Helper()
	within(t, ns, func() {
		for _, name := range []string{"eth0", attachment.NodeNIC} {
			if _, err := netlink.LinkByName(name); err == nil {
				t.Error("left behind:", name)
			}
		}
	})
	if notes(t, s) != 0 {
		t.Error("a note is left behind")
	}
}

func detected(t *testing.T, conflict, gateway bool) attachment.Attachment {
	n := network(t, "eth0", "0a:58:0a:06:a8:65", macvlan)
	n.DetectConflict, n.DetectGateway = conflict, gateway
	return n
}

// Nobody on the segment hears of a pod whose address somebody has; when he is
// gone, the pod is made.
func TestAddressOfSomebodyElse(t *testing.T) {
	s, dir, _, other := lan(t)
	events := &told{}
	s.config.Events = events
	both := onLAN("eth0", "10.6.168.101/16")
	both[0].IPv6 = "fd00:6::101/64"
	for _, taken := range []string{"10.6.168.101/16", "fd00:6::101/64"} {
		mac := holds(t, other, taken, true)
		ns, ip := space(t), strings.Split(taken, "/")[0]
		_ = s.grants.Add(inLAN(t, "a", "u", both, detected(t, true, false)))
		want := fmt.Sprintf("address %s of interface eth0 is in use in network kube-system/lan: %s has it; the pod waits until it is free", ip, mac)
		kept(t, s, dir, ns, want)
		await(t, "Warning AddressConflict "+want, events.last)
		holds(t, other, taken, false)
		if _, failed := exe(t, dir, "ADD", "a", ns, args("a", "u")); failed != nil {
			t.Fatal(failed)
		}
		if err := s.Clear(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if _, failed := exe(t, dir, "DEL", "a", ns, args("a", "u")); failed != nil {
			t.Error(failed)
		}
	}
	eventually(t, s)
}

// The very interface of the pod, left on a machine that cannot be reached, counts.
func TestAddressOfAnEarlierPod(t *testing.T) {
	s, dir, _, other := lan(t)
	within(t, other, func() {
		far, err := netlink.LinkByName("far0")
		check(t, err)
		mac, _ := net.ParseMAC("0a:58:0a:06:a8:65")
		check(t, netlink.LinkSetHardwareAddr(far, mac))
	})
	holds(t, other, "10.6.168.101/16", true)
	ns := space(t)
	_ = s.grants.Add(inLAN(t, "a", "u", onLAN("eth0", "10.6.168.101/16"), detected(t, true, false)))
	kept(t, s, dir, ns, "0a:58:0a:06:a8:65 has it")
	eventually(t, s)
}

// What is heard when the pod is made already still counts.
func TestSlowAnswer(t *testing.T) {
	s, dir, _, _ := lan(t)
	ns := space(t)
	_ = s.grants.Add(inLAN(t, "a", "u", onLAN("eth0", "10.6.168.101/16"), detected(t, true, false)))
	if _, failed := exe(t, dir, "ADD", "a", ns, args("a", "u")); failed != nil {
		t.Fatal(failed)
	}
	if err := s.Clear(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	late := &detection{known: make(chan struct{})}
	s.mu.Lock()
	s.detections["a"].then = late
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Clear(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("before it is known: %v", err)
	}
	late.problem = errors.New("somebody has it")
	close(late.known)
	if err := s.Clear(t.Context(), "a"); !errors.Is(err, late.problem) {
		t.Error(err)
	}
	if _, failed := exe(t, dir, "DEL", "a", ns, args("a", "u")); failed != nil {
		t.Error(failed)
	}
	if err := s.Clear(t.Context(), "a"); err != nil {
		t.Errorf("of a sandbox that is gone: %v", err)
	}
	eventually(t, s)
}

// An interface that is made in the pod asks from there.
func TestDetectedInThePod(t *testing.T) {
	s, dir, _, other := lan(t)
	events := &told{}
	s.config.Events = events
	mac := holds(t, other, "10.6.168.101/16", true)
	// A pair to hand to the pod, whose end outside is in a bridge with the master.
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	check(t, netlink.LinkAdd(br))
	t.Cleanup(func() { _ = netlink.LinkDel(br) })
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "hand0"}, PeerName: "hand1"}))
	for _, name := range []string{"lan0", "hand1"} {
		l, err := netlink.LinkByName(name)
		check(t, err)
		check(t, netlink.LinkSetMaster(l, br))
		check(t, netlink.LinkSetUp(l))
	}
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("hand1"); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	check(t, netlink.LinkSetUp(br))
	n := network(t, "eth0", "", `{"cniVersion":"0.3.1","type":"host-device","device":"hand0","ipam":{"type":"spiderpool"}}`)
	n.DetectConflict = true
	ns := space(t)
	_ = s.grants.Add(inLAN(t, "a", "u", onLAN("eth0", "10.6.168.101/16"), n))
	_, failed := exe(t, dir, "ADD", "a", ns, args("a", "u"))
	if failed != nil {
		t.Fatal(failed)
	}
	err := s.Clear(t.Context(), "a")
	var trouble *attachment.Trouble
	if !errors.As(err, &trouble) || trouble.Reason != attachment.AddressConflict || !strings.Contains(err.Error(), mac+" has it") {
		t.Errorf("%v, want %s", err, mac)
	}
	if _, failed := exe(t, dir, "DEL", "a", ns, args("a", "u")); failed != nil {
		t.Error(failed)
	}
	eventually(t, s)
}

func TestGateway(t *testing.T) {
	s, dir, _, other := lan(t)
	events := &told{}
	s.config.Events = events
	ns := space(t)
	add := func(gw, gw6 string) error {
		ips := []spiderpoolv2beta1.IPAllocationDetail{{NIC: "eth0", IPv4: "10.6.168.101/16", IPv4Gateway: gw, IPv6: "fd00:6::101/64", IPv6Gateway: gw6}}
		_ = s.grants.Add(inLAN(t, "a", "u", ips, detected(t, true, true)))
		_, failed := exe(t, dir, "ADD", "a", ns, args("a", "u"))
		if failed == nil {
			err := s.Clear(t.Context(), "a")
			if _, failed := exe(t, dir, "DEL", "a", ns, args("a", "u")); failed != nil {
				t.Error(failed)
			}
			return err
		}
		return failed
	}
	holds(t, other, "fd00:6::1/64", true)
	if err := add("10.6.0.1", "fd00:6::1"); err != nil {
		t.Error(err)
	}
	for _, gws := range [][2]string{{"10.6.0.9", "fd00:6::1"}, {"10.6.0.1", "fd00:6::9"}} {
		bad := gws[0]
		if bad == "10.6.0.1" {
			bad = gws[1]
		}
		want := fmt.Sprintf("gateway %s of interface eth0 does not answer in network kube-system/lan; the pod waits until it does", bad)
		for range 2 { // at first it shows when the pod is made already, then before
			err := add(gws[0], gws[1])
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("%v, want %s", err, want)
			}
			await(t, "Warning GatewayUnreachable "+want, events.last)
		}
		nothing(t, s, ns)
		if err := add("10.6.0.1", "fd00:6::1"); err != nil {
			t.Error(err)
		}
	}
	if err := add("10.6.0.2", "fd00:6::1"); err != nil { // this machine itself
		t.Error(err)
	}
	eventually(t, s)
}

func await(t *testing.T, want string, got func() string) {
	t.Helper()
	for began := time.Now(); got() != want; pause() {
		if time.Since(began) > time.Minute {
			t.Fatalf("it is %q, want %q", got(), want)
		}
	}
}

// The wire to the node has the address and the MTU that the network's coordinator says.
func TestAddressOfTheWire(t *testing.T) {
	s, dir, _, _ := lan(t)
	ns := space(t)
	config := strings.Replace(macvlan, `{"type":"coordinator"}`, `{"type":"coordinator","vethLinkAddress":"169.254.100.1","vethMTU":1400}`, 1)
	_ = s.grants.Add(inLAN(t, "a", "u", onLAN("eth0", "10.6.168.101/16"), network(t, "eth0", "", config)))
	if _, failed := exe(t, dir, "ADD", "a", ns, args("a", "u")); failed != nil {
		t.Fatal(failed)
	}
	within(t, ns, func() {
		wire, err := netlink.LinkByName(attachment.NodeNIC)
		check(t, err)
		addrs, err := netlink.AddrList(wire, netlink.FAMILY_V4)
		check(t, err)
		if wire.Attrs().MTU != 1400 || len(addrs) != 1 || addrs[0].IPNet.String() != "169.254.100.1/32" {
			t.Errorf("MTU %d, addresses %v", wire.Attrs().MTU, addrs)
		}
	})
	serveHTTP(t, ns, "a")
	if got := ask(t, "10.6.168.101"); got != "a" {
		t.Errorf("from its node the pod is %q", got)
	}
	if _, failed := exe(t, dir, "DEL", "a", ns, args("a", "u")); failed != nil {
		t.Error(failed)
	}
	eventually(t, s)
}
