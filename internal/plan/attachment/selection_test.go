package attachment

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestSelected(t *testing.T) {
	for _, tt := range []struct {
		name, first, further, nic string
		want                      string
	}{
		{"none", "", "", "", ""},
		{"the seed", "kube-system/macvlan-ens192", "", "", "eth0=kube-system/macvlan-ens192"},
		{"the system's", "lan", "", "", "eth0=kube-system/lan"},
		{"a list", "", "a, other/b , c@db0", "", "net1=ns/a net2=other/b db0=ns/c"},
		{"both", "lan", "a", "net1", "eth0=kube-system/lan net1=ns/a!"},
		{"JSON", "", `[{"name":"a","ips":["10.6.0.5/16","fd00::5/64"],"mac":"02:00:00:00:00:01","interface":"x"},{"name":"b","namespace":"n","default-route":["10.6.0.1"]}]`, "", "x=ns/a[10.6.0.5 fd00::5]02:00:00:00:00:01 net2=n/b!"},
		{"the annotation beats", "", `[{"name":"b","default-route":["10.6.0.1"]}]`, "eth0", "net1=ns/b"},
		{"not one", "a,b", "", "", "annotation v1.multus-cni.io/default-network: wrong input: it names 2 networks, not one"},
		{"not eth0", "a@b", "", "", "annotation v1.multus-cni.io/default-network: wrong input: the first interface is eth0, not b"},
		{"no name", "", "a,,b", "", `annotation k8s.v1.cni.cncf.io/networks: wrong input: "ns/" does not name a network`},
		{"no namespace", "", "/a", "", `wrong input: "/a" names no namespace before the /`},
		{"no interface", "", "a@", "", `wrong input: "a@" names no interface behind the @`},
		{"eth0 twice", "", "a@eth0", "", "wrong input: interface eth0 is there twice"},
		{"a path", "", `[{"name":"a","interface":"../x"}]`, "", `wrong input: "../x" does not name an interface`},
		{"two of a family", "", `[{"name":"a","ips":["10.6.0.5","10.6.0.6"]}]`, "", "ips has two addresses of one family"},
		{"a group's", "", `[{"name":"a","mac":"01:00:5e:00:00:01"}]`, "", "is not the hardware address of one interface"},
		{"no JSON", "", `{"name":"a"}`, "", "annotation k8s.v1.cni.cncf.io/networks: wrong input: json: cannot unmarshal object"},
		{"more", "", `[] x`, "", "something follows the JSON value"},
		{"no address", "", `[{"name":"a","ips":["ten"]}]`, "", "unable to parse IP"},
		{"two ways out", "", `[{"name":"a","default-route":["10.6.0.1"]},{"name":"b","default-route":["10.6.0.1"]}]`, "", "2 networks have a default-route"},
		{"no such way out", "", "a", "net2", "annotation ipam.spidernet.io/default-route-nic: wrong input: the pod has no interface net2"},
	} {
		got, err := Selected(map[string]string{FirstAnnotation: tt.first, FurtherAnnotation: tt.further, DefaultNICAnnotation: tt.nic}, "ns")
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) || tt.want == "" {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		var text []string
		for _, s := range got {
			one := fmt.Sprintf("%s=%s", s.Interface, s.Network)
			if len(s.Addrs) > 0 {
				one += fmt.Sprint(s.Addrs)
			}
			one += s.MAC
			if s.DefaultRoute {
				one += "!"
			}
			text = append(text, one)
		}
		if strings.Join(text, " ") != tt.want {
			t.Errorf("%s: %q", tt.name, text)
		}
	}
}

func TestRead(t *testing.T) {
	for config, want := range map[string]string{
		"":                                     "it has no spec.config",
		"x":                                    "spec.config: invalid character",
		`{"plugins":3}`:                        "plugins is not a list",
		`{"plugins":[{"master":"a"}]}`:         "plugin 0 has no type",
		`{"plugins":[{"type":"../x"}]}`:        "plugin 0 has no type",
		`{"plugins":[{"type":"coordinator"}]}`: "names no plugin that makes an interface",
		`{"plugins":[{"type":"ifacer"},{"type":"macvlan"}]}`: "plugin ifacer: interfaces of the node are not made for a network",
		`{"type":"ovs"}`: "plugin ovs: there is no Open vSwitch here",
		`{"type":"a","ipam":{"type":"spiderpool","default_ipv4_ippool":[1]}}`: "default_ipv4_ippool is not a list of names",
	} {
		if _, err := Read(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	n, err := Read(`{"cniVersion":"1.0.0","type":"bridge","ipam":{"type":"spiderpool","default_ipv6_ippool":["a","b"]}}`)
	if err != nil || n.Version != "1.0.0" || !n.Pooled || fmt.Sprint(n.IPv6, n.IPv4) != "[a b] []" || n.Join(nil) != nil || n.MAC("", parsed("10.6.0.1"), nil) != "0a:58:0a:06:00:01" {
		t.Errorf("%v %+v", err, n)
	}
	n, err = Read(`{"plugins":[{"type":"macvlan"},{"type":"coordinator","podMACPrefix":"0a:1b","hijackCIDR":["1.1.1.0/24"],"tunePodRoutes":false,"podDefaultRouteNic":"net1"}]}`)
	j := n.Join(nil)
	if err != nil || n.Pooled || j == nil || j.Tables || fmt.Sprint(j.To) != "[1.1.1.0/24]" || n.MAC("", parsed("10.6.0.1"), nil) != "0a:1b:0a:06:00:01" || n.DefaultNIC(nil) != "net1" {
		t.Errorf("%v %+v", err, j)
	}
}

func parsed(text string) netip.Addr { return netip.MustParseAddr(text) }
