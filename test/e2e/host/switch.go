package host

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Switch is a network that hosts are on together, in a namespace of its own.
type Switch struct {
	t      testing.TB
	ns     netns.NsHandle
	handle *netlink.Handle
	bridge netlink.Link
	prefix string // of the addresses on it, "172.30.0."
	ports  map[string]netlink.Link
	routed bool
}

// NewSwitch makes a network without hosts. It ends with the test.
func NewSwitch(t testing.TB) *Switch {
	t.Helper()
	s := &Switch{t: t, prefix: "172.30.0.", ports: map[string]netlink.Link{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		var err error
		s.ns, err = netns.New()
		made <- err
	}()
	must(<-made)
	t.Cleanup(func() { s.ns.Close() })
	var err error
	s.handle, err = netlink.NewHandleAt(s.ns)
	must(err)
	t.Cleanup(s.handle.Close)
	must(s.handle.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}))
	s.bridge, err = s.handle.LinkByName("switch")
	must(err)
	must(s.handle.LinkSetUp(s.bridge))
	return s
}

// Host makes a host on this network: the first is 172.30.0.2, and so on.
func (s *Switch) Host(name string) *Host {
	s.t.Helper()
	h := newAt(s.t, name, fmt.Sprintf("%s%d", s.prefix, len(s.ports)+2))
	s.plug(h)
	return h
}

// Beyond makes another network, with a router between that and this. Call it
// before there are hosts.
func (s *Switch) Beyond() *Switch {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	b := &Switch{t: s.t, ns: s.ns, handle: s.handle, prefix: "172.31.0.", ports: map[string]netlink.Link{}}
	must(s.handle.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "beyond"}}))
	var err error
	b.bridge, err = s.handle.LinkByName("beyond")
	must(err)
	must(s.handle.LinkSetUp(b.bridge))
	for _, side := range []*Switch{s, b} {
		side.routed = true
		addr, err := netlink.ParseAddr(side.prefix + "1/24")
		must(err)
		must(s.handle.AddrAdd(side.bridge, addr))
	}
	_, err = inside(fmt.Sprintf("/proc/self/fd/%d", int(s.ns)), func() (struct{}, error) {
		return struct{}{}, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
	must(err)
	return b
}

// Unplug pulls the host's wire; Plug ends that.
func (s *Switch) Unplug(h *Host) {
	h.t.Helper()
	h.must(s.handle.LinkSetDown(s.ports[h.Name]))
}

// Plug ends Unplug.
func (s *Switch) Plug(h *Host) {
	h.t.Helper()
	h.must(s.handle.LinkSetUp(s.ports[h.Name]))
}

// plug puts the far end of the host's wire into the switch.
func (s *Switch) plug(h *Host) {
	s.t.Helper()
	ns, err := netns.GetFromPid(h.pid)
	h.must(err)
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	h.must(err)
	defer handle.Close()
	world, err := handle.LinkByName("world")
	h.must(err)
	port := fmt.Sprintf("%s%d", s.bridge.Attrs().Name[:2], len(s.ports))
	h.must(handle.LinkSetDown(world))
	h.must(handle.LinkSetName(world, port))
	h.must(handle.LinkSetNsFd(world, int(s.ns)))
	end, err := s.handle.LinkByName(port)
	h.must(err)
	h.must(s.handle.LinkSetMaster(end, s.bridge))
	h.must(s.handle.LinkSetUp(end))
	s.ports[h.Name] = end
	if s.routed {
		eth, err := handle.LinkByName("eth0")
		h.must(err)
		h.must(handle.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.ParseIP(s.prefix + "1")}))
	}
}
