package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestPodOnMacvlan(t *testing.T) {
	s, dir, stop, other := lan(t)
	serveHTTP(t, other, "other")
	a, b, routed := space(t), space(t), space(t)
	for _, p := range []struct{ ns, name, ip, mac string }{{a, "a", "10.6.168.101/16", "0a:58:0a:06:a8:65"}, {b, "b", "10.6.168.102/16", "0a:58:0a:06:a8:66"}} {
		_ = s.grants.Add(inLAN(t, p.name, "u", onLAN("eth0", p.ip), network(t, "eth0", p.mac, macvlan)))
		out, failed := exe(t, dir, "ADD", p.name, p.ns, args(p.name, "u"))
		if failed != nil || !strings.Contains(string(out), p.ip) || !strings.Contains(string(out), p.mac) || !strings.Contains(string(out), "10.6.0.1") {
			t.Fatalf("%v %s", failed, out)
		}
		serveHTTP(t, p.ns, p.name)
	}
	_ = s.grants.Add(endpoint("routed", "u", "10.42.0.3/16"))
	_, failed := exe(t, dir, "ADD", "routed", routed, args("routed", "u"))
	if failed != nil {
		t.Fatal(failed)
	}
	serveHTTP(t, routed, "routed")
	within(t, a, func() {
		for ip, want := range map[string]string{"10.6.0.1": "other", "10.9.0.1": "other", "10.6.168.102": "b", "10.42.0.3": "routed"} {
			if got := ask(t, ip); got != want {
				t.Errorf("from the pod, %s is %q", ip, got)
			}
		}
	})
	within(t, other, func() {
		if got := ask(t, "10.6.168.101"); got != "a" {
			t.Errorf("from another machine the pod is %q", got)
		}
	})
	within(t, routed, func() {
		if got := ask(t, "10.6.168.102"); got != "b" {
			t.Errorf("from a routed pod the pod is %q", got)
		}
	})
	if got := ask(t, "10.6.168.101"); got != "a" { // its own node: probes
		t.Errorf("from its node the pod is %q", got)
	}
	if _, failed := exe(t, dir, "CHECK", "a", a, args("a", "u")); failed != nil {
		t.Error(failed)
	}
	within(t, a, func() {
		eth, _ := netlink.LinkByName("eth0")
		addr, _ := netlink.ParseAddr("10.6.168.101/16")
		check(t, netlink.AddrDel(eth, addr))
	})
	if _, failed := exe(t, dir, "CHECK", "a", a, args("a", "u")); failed == nil || !strings.Contains(failed.Error(), "lost its address 10.6.168.101/16") {
		t.Error(failed)
	}
	if _, failed := exe(t, dir, "DEL", "a", a, args("a", "u")); failed != nil {
		t.Error(failed)
	}
	within(t, a, func() {
		if _, err := netlink.LinkByName("eth0"); err == nil {
			t.Error("DEL left eth0")
		}
	})
	// b's sandbox ends while nobody listens: a later start undoes the rest.
	stop()
	gone := inCache(t, s, "b")
	gone.NetNS = "/nowhere"
	check(t, s.records.write(gone))
	s, _ = start(t, dir)
	for i := 0; notes(t, s) > 0; i++ {
		if i > 6000 {
			t.Fatal("the note stays")
		}
		pause()
	}
	eventually(t, s, "default/routed")
	if _, failed := exe(t, dir, "DEL", "routed", routed, args("routed", "u")); failed != nil {
		t.Error(failed)
	}
	eventually(t, s)
}

func inCache(t *testing.T, s *Server, id string) *attached {
	t.Helper()
	a, err := s.records.read(id)
	if err != nil || a == nil {
		t.Fatalf("no note about %s: %v", id, err)
	}
	return a
}

func TestSecondInterface(t *testing.T) {
	s, dir, _, other := lan(t)
	pod := space(t)
	serveHTTP(t, other, "other")
	ips := onLAN("net1", "10.6.168.103/16")
	ips[0].Routes = []spiderpoolv2beta1.Route{{Dst: "10.9.0.0/24", Gw: "10.6.0.1"}}
	_ = s.grants.Add(inLAN(t, "two", "u", ips, network(t, "net1", "", macvlan)))
	out, failed := exe(t, dir, "ADD", "two", pod, args("two", "u"))
	if failed != nil || !strings.Contains(string(out), "10.42.0.9/32") || strings.Contains(string(out), "10.6.168.103") {
		t.Fatalf("%v %s", failed, out)
	}
	serveHTTP(t, pod, "two")
	within(t, pod, func() {
		for _, ip := range []string{"10.6.0.1", "10.9.0.1"} {
			if got := ask(t, ip); got != "other" {
				t.Errorf("%s is %q", ip, got)
			}
		}
		if got := via(t, "198.51.100.1"); got != "eth0" {
			t.Errorf("the default route is by %s", got)
		}
	})
	within(t, other, func() { // from behind the gateway: answered by the interface that was asked
		client(t, "10.9.0.1", "10.6.168.103", "two")
	})
	if got := ask(t, "10.42.0.9"); got != "two" {
		t.Errorf("from its node the pod is %q", got)
	}
	if _, failed := exe(t, dir, "DEL", "two", pod, args("two", "u")); failed != nil || notes(t, s) != 0 {
		t.Error(failed, notes(t, s))
	}
	eventually(t, s)

	// The default route by the second interface; the cluster still by the node.
	pod = space(t)
	way := network(t, "net1", "", macvlan)
	way.DefaultRoute = true
	_ = s.grants.Add(inLAN(t, "two", "v", onLAN("net1", "10.6.168.103/16"), way))
	if _, failed := exe(t, dir, "ADD", "three", pod, args("two", "v")); failed != nil {
		t.Fatal(failed)
	}
	within(t, pod, func() {
		for to, want := range map[string]string{"198.51.100.1": "net1", "10.43.0.10": "eth0", "192.0.2.7": "eth0", "10.42.7.7": "eth0"} {
			if got := via(t, to); got != want {
				t.Errorf("%s is reached by %s", to, got)
			}
		}
	})
	serveHTTP(t, pod, "three")
	if got := ask(t, "10.42.0.9"); got != "three" {
		t.Errorf("from its node the pod is %q", got)
	}
	// Made again by the runtime without the end of the first: nothing of that stays.
	_ = s.grants.Add(inLAN(t, "two", "w", onLAN("net1", "10.6.168.103/16"), network(t, "net1", "", macvlan)))
	again := space(t)
	if _, failed := exe(t, dir, "ADD", "four", again, args("two", "w")); failed != nil || notes(t, s) != 1 {
		t.Fatal(failed, notes(t, s))
	}
	if _, failed := exe(t, dir, "GC", "", "", ""); failed != nil || notes(t, s) != 0 {
		t.Error(failed, notes(t, s))
	}
	eventually(t, s)
}

// Who asks from behind a gateway is answered by the interface that he asked, though
// no route leads him there but the default one, by the node; the node itself reaches
// the pod by its wire, though the address lies in the master's network. Nothing of
// that needs a routing table of the node, or a destination to be named.
func TestAnswersLeaveByTheInterfaceThatWasAsked(t *testing.T) {
	s, dir, _, other := lan(t)
	pod := space(t)
	near := network(t, "eth0", "0a:58:0a:06:a8:67", macvlan)
	_ = s.grants.Add(inLAN(t, "one", "u", onLAN("eth0", "10.6.168.103/16"), near))
	if _, failed := exe(t, dir, "ADD", "one", pod, args("one", "u")); failed != nil {
		t.Fatal(failed)
	}
	serveHTTP(t, pod, "one")
	if got := via(t, "10.6.168.103"); got == "lan0" || got == "" {
		t.Errorf("the node reaches the pod by %q", got)
	}
	if got := ask(t, "10.6.168.103"); got != "one" {
		t.Errorf("from its node the pod is %q", got)
	}
	if _, failed := exe(t, dir, "DEL", "one", pod, args("one", "u")); failed != nil {
		t.Error(failed)
	}
	for _, tune := range []bool{true, false} {
		pod := space(t)
		id := fmt.Sprint("two-", tune)
		second := network(t, "net1", "", macvlan)
		second.Join.Tables = tune
		ips := onLAN("net1", "10.6.168.103/16")
		ips[0].Routes = []spiderpoolv2beta1.Route{{Dst: "10.8.0.0/24", Gw: "10.6.0.3"}}
		_ = s.grants.Add(inLAN(t, "two", id, ips, second))
		if _, failed := exe(t, dir, "ADD", id, pod, args("two", id)); failed != nil {
			t.Fatal(failed)
		}
		serveHTTP(t, pod, "two")
		within(t, pod, func() {
			for _, from := range []net.IP{nil, net.ParseIP("10.6.168.103")} { // its own route, whoever began
				way, err := netlink.RouteGetWithOptions(net.ParseIP("10.8.0.1"), &netlink.RouteGetOptions{SrcAddr: from})
				check(t, err)
				if got := way[0].Gw.String(); got != "10.6.0.3" {
					t.Errorf("tunePodRoutes %t: from %s the pool's route is by %s", tune, from, got)
				}
			}
			if got := via(t, "10.9.0.1"); got != "eth0" {
				t.Errorf("what the pod begins itself leaves by %s", got)
			}
			// With the address of the interface, as answers are sent.
			from, err := netlink.RouteGetWithOptions(net.ParseIP("10.9.0.1"), &netlink.RouteGetOptions{SrcAddr: net.ParseIP("10.6.168.103")})
			check(t, err)
			l, err := netlink.LinkByIndex(from[0].LinkIndex)
			check(t, err)
			if got := l.Attrs().Name; got != map[bool]string{true: "net1", false: "eth0"}[tune] {
				t.Errorf("tunePodRoutes %t: answers leave by %s", tune, got)
			}
		})
		if tune {
			within(t, other, func() { client(t, "10.9.0.1", "10.6.168.103", "two") })
		}
		if _, failed := exe(t, dir, "DEL", id, pod, args("two", id)); failed != nil {
			t.Error(failed)
		}
	}
	eventually(t, s)
}

func TestBridgeWithAddressesOfOthers(t *testing.T) {
	s, dir, _, _ := lan(t)
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("br-store"); err == nil {
			check(t, netlink.LinkDel(l))
		}
	})
	leases := t.TempDir()
	config := fmt.Sprintf(`{"cniVersion":"1.0.0","type":"bridge","bridge":"br-store","isGateway":true,"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.88.0.0/24"}]]}}`, leases)
	one, two := space(t), space(t)
	for i, ns := range []string{one, two} {
		name := fmt.Sprint("p", i)
		e := endpoint(name, "u", fmt.Sprintf("10.42.0.%d/16", 20+i))
		text, err := json.Marshal([]attachment.Attachment{network(t, "store", "", config)})
		check(t, err)
		e.Annotations = map[string]string{attachment.ResolvedAnnotation: string(text)}
		_ = s.grants.Add(e)
		if _, failed := exe(t, dir, "ADD", name, ns, args(name, "u")); failed != nil {
			t.Fatal(failed)
		}
		serveHTTP(t, ns, name)
	}
	within(t, one, func() {
		if got := ask(t, "10.88.0.3"); got != "p1" {
			t.Errorf("over the bridge the other pod is %q", got)
		}
	})
	leased := func() int {
		files, _ := filepath.Glob(filepath.Join(leases, "*", "10.88.0.*"))
		return len(files)
	}
	if leased() != 2 {
		t.Error(leased(), "addresses are leased")
	}
	// One ends while berth listens, the other after a crash in between.
	if _, failed := exe(t, dir, "DEL", "p0", one, args("p0", "u")); failed != nil {
		t.Error(failed)
	}
	check(t, Remove(context.Background(), dir, filepath.Dir(s.records.path[0])))
	if leased() != 0 || notes(t, s) != 0 {
		t.Error(leased(), "addresses are leased,", notes(t, s), "notes left")
	}
	eventually(t, s)
}

func TestWhatCannotBeMadeLeavesNothing(t *testing.T) {
	s, dir, _, _ := lan(t)
	for _, tt := range []struct{ name, ip, config, want string }{
		{"master", "10.6.168.104/16", strings.Replace(macvlan, "lan0", "ens192", 1), `network kube-system/lan: this node has no interface ens192, which is its master`},
		{"kernel", "10.6.168.104/16", strings.Replace(macvlan, `"macvlan","master":"lan0","mode":"bridge"`, `"ipvlan","master":"lan0","mode":"l2"`, 1), "the kernel of this node has no ipvlan interfaces"},
		{"program", "10.6.168.104/16", strings.Replace(macvlan, `"macvlan"`, `"carrier-pigeon"`, 1), "network kube-system/lan: there is no CNI plugin carrier-pigeon on this node"},
		{"own", "10.6.0.2/16", macvlan, "address 10.6.0.2 of interface eth0 is this machine's own"},
	} {
		if tt.name == "kernel" && has("ipvlan") {
			continue
		}
		ns := space(t)
		_ = s.grants.Add(inLAN(t, tt.name, "u", onLAN("eth0", tt.ip), network(t, "eth0", "", tt.config)))
		_, failed := exe(t, dir, "ADD", tt.name, ns, args(tt.name, "u"))
		if failed == nil || !strings.Contains(failed.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, failed)
		}
		if notes(t, s) != 0 {
			t.Errorf("%s: a note is left", tt.name)
		}
	}
	// The second interface fails: the first goes too.
	ns := space(t)
	ips := append(onLAN("eth0", "10.6.168.105/16"), spiderpoolv2beta1.IPAllocationDetail{NIC: "net1", IPv4: "10.7.0.5/16", CleanGateway: ptr.To(true)})
	_ = s.grants.Add(inLAN(t, "half", "u", ips, network(t, "eth0", "", macvlan), network(t, "net1", "", strings.Replace(macvlan, "lan0", "lan1", 1))))
	if _, failed := exe(t, dir, "ADD", "half", ns, args("half", "u")); failed == nil {
		t.Error("a pod was half made")
	}
	within(t, ns, func() {
		for _, name := range []string{"eth0", "net1", attachment.NodeNIC} {
			if _, err := netlink.LinkByName(name); err == nil {
				t.Error("left behind:", name)
			}
		}
	})
	eventually(t, s)
}

// has reports whether the kernel knows a kind of interface.
func has(kind string) bool {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "try0"
	master, err := netlink.LinkByName("lan0")
	if err != nil || kind != "ipvlan" {
		return false
	}
	attrs.ParentIndex = master.Attrs().Index
	l := &netlink.IPVlan{LinkAttrs: attrs, Mode: netlink.IPVLAN_MODE_L2}
	if netlink.LinkAdd(l) != nil {
		return false
	}
	_ = netlink.LinkDel(l)
	return true
}
