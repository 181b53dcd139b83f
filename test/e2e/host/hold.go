package host

import (
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Hold gives the host one more address on its wire, without a look at whether
// somebody has it, and returns its hardware address. Drop ends that.
func (h *Host) Hold(cidr string) (mac string) {
	h.t.Helper()
	h.onWire(func(n *netlink.Handle, eth netlink.Link) {
		addr, err := netlink.ParseAddr(cidr)
		h.must(err)
		addr.Flags = unix.IFA_F_NODAD
		h.must(n.AddrReplace(eth, addr))
		mac = eth.Attrs().HardwareAddr.String()
	})
	return mac
}

// Drop ends Hold.
func (h *Host) Drop(cidr string) {
	h.t.Helper()
	h.onWire(func(n *netlink.Handle, eth netlink.Link) {
		addr, err := netlink.ParseAddr(cidr)
		h.must(err)
		h.must(n.AddrDel(eth, addr))
	})
}

// Neighbour is the hardware address that the host knows for an address, "" if it
// knows none.
func (h *Host) Neighbour(ip string) (mac string) {
	h.t.Helper()
	h.onWire(func(n *netlink.Handle, eth netlink.Link) {
		all, err := n.NeighList(eth.Attrs().Index, netlink.FAMILY_ALL)
		h.must(err)
		for _, e := range all {
			if e.IP.Equal(net.ParseIP(ip)) && e.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE|netlink.NUD_NOARP) == 0 {
				mac = e.HardwareAddr.String()
			}
		}
	})
	return mac
}

func (h *Host) onWire(f func(*netlink.Handle, netlink.Link)) {
	h.t.Helper()
	ns, err := netns.GetFromPid(h.pid)
	h.must(err)
	defer ns.Close()
	n, err := netlink.NewHandleAt(ns)
	h.must(err)
	defer n.Close()
	eth, err := n.LinkByName("eth0")
	h.must(err)
	f(n, eth)
}
