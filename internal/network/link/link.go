// Package link makes the network of a node with netlink: the wire from a pod's
// network namespace to the host, and the routes that keep cluster addresses
// inside the cluster.
//
// A pod's wire is a veth pair. The pod's end has the pod's address with a full
// prefix (/32, /128) and a default route to a gateway that exists nowhere,
// 169.254.1.1; the host's end has no address, and the host has a route to the
// pod's address over it. Both ends know each other's hardware address from the
// start, so that no packet ever waits for address resolution. Nothing is kept
// but what the kernel has: a new process finds the wires of the old one.
package link

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// protocol marks our routes (RTPROT_*; the kernel leaves 192-255 and the like
// to users), so that Remove finds them without any record.
const protocol netlink.RouteProtocol = 190

// aliasPrefix marks our links; what follows tells whose they are.
const aliasPrefix = "berth "

var (
	// Gateway is the next hop inside every pod.
	Gateway = netip.MustParseAddr("169.254.1.1")
	// Gateway6 is the link-local address that belongs to hostMAC.
	Gateway6 = netip.MustParseAddr("fe80::ecee:eeff:feee:eeee")
	hostMAC  = net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}
)

// Wire is one pod interface.
type Wire struct {
	// Host is the name of the host's end; see HostName.
	Host string
	// Pod is the name of the pod's end, "eth0".
	Pod string
	// NetNS is an open file descriptor of the pod's network namespace.
	NetNS int
	// Owner says whose wire it is; List returns it.
	Owner string
	Addrs []netip.Addr
	// Sources are the node's addresses, which pods see its connections come from.
	Sources []netip.Addr
	MTU     int
	// Beside says that the addresses are those of another interface, in a network
	// of the machine, and that the pod uses the wire for To only.
	Beside bool
	To     []netip.Prefix
	// LinkAddr is an address that the pod's end of such a wire has, if it is valid.
	LinkAddr netip.Addr
}

// BesideGroup is the group of the host's ends of wires beside other interfaces.
const BesideGroup = 0x6273

// HostName is the name of the host's end for one interface of a sandbox.
func HostName(containerID, ifName string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + ifName))
	return "veth" + hex.EncodeToString(sum[:5])
}

// MAC is the hardware address of a pod's interface; like the address it stays.
func MAC(a netip.Addr) net.HardwareAddr {
	b := a.As16()
	return net.HardwareAddr{0x0a, 0x58, b[12], b[13], b[14], b[15]}
}

// Attach makes the wire, replacing one of the same host name, and routes the
// pod's addresses to it. On error nothing is left behind.
func Attach(w Wire) error {
	if len(w.Addrs) == 0 {
		return errors.New("the pod has no address")
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer host.Close()
	if err := w.attach(host); err != nil {
		return errors.Join(err, Detach(w.Host))
	}
	return nil
}

func (w Wire) attach(host *netlink.Handle) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.TxQLen = w.Host, w.MTU, 1000
	attrs.HardwareAddr = hostMAC
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: w.Pod, PeerNamespace: netlink.NsFd(w.NetNS),
		PeerHardwareAddr: MAC(w.Addrs[0]), PeerTxQLen: 1000,
	}
	err := host.LinkAdd(veth)
	if errors.Is(err, unix.EEXIST) {
		// Left by an attempt that was cut short: of our own name, or in the pod.
		if err := w.clear(host); err != nil {
			return err
		}
		err = host.LinkAdd(veth)
	}
	if err != nil {
		return fmt.Errorf("make veth pair %s and %s: %w", w.Host, w.Pod, err)
	}
	if err := w.setUpPod(); err != nil {
		return err
	}
	return w.setUpHost(host)
}

// clear removes what an earlier attempt left at either end.
func (w Wire) clear(host *netlink.Handle) error {
	if err := remove(host, w.Host); err != nil {
		return err
	}
	pod, err := inside(w.NetNS)
	if err != nil {
		return err
	}
	defer pod.Close()
	return remove(pod, w.Pod)
}

// Detach removes the host's end and with it the pod's end and its routes. It
// is no error when there is nothing.
func Detach(hostName string) error {
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer host.Close()
	return remove(host, hostName)
}

func remove(h *netlink.Handle, name string) error {
	l, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkDel(l)
	}
	if err == nil || isGone(err) {
		return nil
	}
	return fmt.Errorf("remove interface %s: %w", name, err)
}

func isGone(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV)
}

// Existing is a wire that is there.
type Existing struct {
	Host  string
	Owner string
}

// List returns the wires of this network namespace.
func List() ([]Existing, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []Existing
	for _, l := range links {
		if owner, ours := strings.CutPrefix(l.Attrs().Alias, aliasPrefix); ours && l.Type() == "veth" {
			out = append(out, Existing{Host: l.Attrs().Name, Owner: owner})
		}
	}
	return out, nil
}
