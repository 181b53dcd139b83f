package host

import (
	"fmt"
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
	ports  int
}

// NewSwitch makes a network without hosts. It ends with the test.
func NewSwitch(t testing.TB) *Switch {
	t.Helper()
	s := &Switch{t: t}
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
	h := newAt(s.t, name, fmt.Sprintf("172.30.0.%d", s.ports+2))
	s.plug(h)
	return h
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
	port := fmt.Sprintf("port%d", s.ports)
	s.ports++
	h.must(handle.LinkSetDown(world))
	h.must(handle.LinkSetName(world, port))
	h.must(handle.LinkSetNsFd(world, int(s.ns)))
	end, err := s.handle.LinkByName(port)
	h.must(err)
	h.must(s.handle.LinkSetMaster(end, s.bridge))
	h.must(s.handle.LinkSetUp(end))
}
