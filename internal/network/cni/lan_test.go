package cni

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// lan is a machine with the master lan0, and another that is on its segment; it
// returns the other's namespace.
func lan(t *testing.T) (s *Server, dir datadir.Dir, stop func(), other string) {
	t.Helper()
	built, err := filepath.Abs("../../../bin/bundle")
	check(t, err)
	if _, err := os.Stat(filepath.Join(built, "cni", "macvlan")); err != nil {
		t.Skip("needs the bundle (make bundle)")
	}
	other = space(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan0"
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "far0"}))
	master, err := netlink.LinkByName("lan0")
	check(t, err)
	t.Cleanup(func() { _ = netlink.LinkDel(master) })
	far, err := netlink.LinkByName("far0")
	check(t, err)
	handle, err := netns.GetFromPath(other)
	check(t, err)
	defer handle.Close()
	check(t, netlink.LinkSetNsFd(far, int(handle)))
	number(t, "lan0", "10.6.0.2/16")
	within(t, other, func() {
		number(t, "lo", "10.9.0.1/32")
		number(t, "far0", "10.6.0.1/16")
	})
	check(t, link.SetUp(node))
	t.Cleanup(func() { check(t, link.Remove(node)) })
	dir = newDir(t)
	s, stop = start(t, dir)
	s.config.Cluster = []netip.Prefix{node.PodCIDRs[0], node.ServiceCIDRs[0]}
	s.config.NodeIPs = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	return s, dir, stop, other
}

func number(t *testing.T, name, cidr string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Error(err)
		return
	}
	addr, err := netlink.ParseAddr(cidr)
	check(t, err)
	check(t, netlink.AddrReplace(l, addr))
	check(t, netlink.LinkSetUp(l))
}

// inLAN is an endpoint with interfaces in networks of the machine.
func inLAN(t *testing.T, name, uid string, ips []spiderpoolv2beta1.IPAllocationDetail, networks ...attachment.Attachment) *spiderpoolv2beta1.SpiderEndpoint {
	t.Helper()
	e := endpoint(name, uid, "10.42.0.9/32")
	if ips[0].NIC == "eth0" {
		e.Status.Current.IPs = nil
	}
	e.Status.Current.IPs = append(e.Status.Current.IPs, ips...)
	text, err := json.Marshal(networks)
	check(t, err)
	e.Annotations = map[string]string{attachment.ResolvedAnnotation: string(text)}
	return e
}

func network(t *testing.T, nic, mac, config string) attachment.Attachment {
	t.Helper()
	n, err := attachment.Read(config)
	check(t, err)
	return attachment.Attachment{
		Network: "kube-system/lan", Interface: nic, MAC: mac, Pooled: n.Pooled, Version: n.Version, Plugins: n.Plugins, Join: n.Join(nil),
	}
}

const macvlan = `{"cniVersion":"0.3.1","plugins":[{"type":"macvlan","master":"lan0","mode":"bridge","ipam":{"type":"spiderpool"}},{"type":"coordinator"}]}`

func onLAN(nic, cidr string) []spiderpoolv2beta1.IPAllocationDetail {
	return []spiderpoolv2beta1.IPAllocationDetail{{NIC: nic, IPv4: cidr, IPv4Gateway: "10.6.0.1"}}
}

func notes(t *testing.T, s *Server) int {
	t.Helper()
	all, err := s.records.list()
	check(t, err)
	return len(all)
}
