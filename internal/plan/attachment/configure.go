package attachment

import (
	"maps"
	"net/netip"
	"strings"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Detail finds what an endpoint grants for one interface.
func Detail(e *spiderpoolv2beta1.SpiderEndpoint, nic string) *spiderpoolv2beta1.IPAllocationDetail {
	for i := range e.Status.Current.IPs {
		if e.Status.Current.IPs[i].NIC == nic {
			return &e.Status.Current.IPs[i]
		}
	}
	return nil
}

// Prefixes are the addresses of an interface with their subnets.
func Prefixes(d *spiderpoolv2beta1.IPAllocationDetail) []netip.Prefix {
	var out []netip.Prefix
	if d == nil {
		return nil
	}
	for _, text := range []string{d.IPv4, d.IPv6} {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// Gateways are the next hops of an interface's default routes.
func Gateways(d *spiderpoolv2beta1.IPAllocationDetail) []netip.Addr {
	var out []netip.Addr
	if d == nil || d.CleanGateway != nil && *d.CleanGateway {
		return nil
	}
	for _, text := range []string{d.IPv4Gateway, d.IPv6Gateway} {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// Configured are the plugins of an attachment as they are run: named like the
// network, with the addresses that were granted.
func (a *Attachment) Configured(d *spiderpoolv2beta1.IPAllocationDetail) []map[string]any {
	out := make([]map[string]any, 0, len(a.Plugins))
	for _, plugin := range a.Plugins {
		conf := maps.Clone(plugin)
		delete(conf, "plugins")
		conf["cniVersion"], conf["name"] = a.Version, strings.Replace(a.Network, "/", ".", 1)
		if block, ok := plugin["ipam"].(map[string]any); ok && block["type"] == "spiderpool" {
			conf["ipam"] = static(d)
		}
		if a.MAC != "" {
			conf["runtimeConfig"] = map[string]any{"mac": a.MAC}
		}
		out = append(out, conf)
	}
	return out
}

// static is the ipam block that says what was granted.
func static(d *spiderpoolv2beta1.IPAllocationDetail) map[string]any {
	var addresses []any
	for _, p := range Prefixes(d) {
		one := map[string]any{"address": p.String()}
		for _, gw := range Gateways(d) {
			if gw.Is4() == p.Addr().Is4() {
				one["gateway"] = gw.String()
			}
		}
		addresses = append(addresses, one)
	}
	return map[string]any{"type": "static", "addresses": addresses}
}

// Master is the node's interface that a network's interfaces belong to, if its
// configuration names one.
func (a *Attachment) Master() string {
	master, _ := a.Plugins[0]["master"].(string)
	return master
}

// Segment is the node's interface that a network's packets leave by: "" is that of
// the default route, and false that nobody can know.
func (a *Attachment) Segment() (string, bool) {
	switch a.Plugins[0]["type"] {
	case "macvlan", "ipvlan":
		return a.Master(), true
	case "bridge":
		if name, _ := a.Plugins[0]["bridge"].(string); name != "" {
			return name, true
		}
		return "cni0", true
	}
	return "", false
}
