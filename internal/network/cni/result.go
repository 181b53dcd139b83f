package cni

import (
	"encoding/json"
	"net/netip"

	"berth.dev/berth/internal/network/cni/call"
	"berth.dev/berth/internal/network/link"
)

// addResult is CNI's answer to ADD, version 1.0 and 1.1.
type addResult struct {
	CNIVersion string         `json:"cniVersion"`
	Interfaces []netInterface `json:"interfaces"`
	IPs        []ipConfig     `json:"ips"`
	Routes     []route        `json:"routes"`
	DNS        struct{}       `json:"dns"`
}

type netInterface struct {
	Name    string `json:"name"`
	Mac     string `json:"mac"`
	MTU     int    `json:"mtu,omitempty"`
	Sandbox string `json:"sandbox,omitempty"`
}

type ipConfig struct {
	Interface int    `json:"interface"`
	Address   string `json:"address"`
	Gateway   string `json:"gateway"`
}

type route struct {
	Dst string `json:"dst"`
	GW  string `json:"gw"`
}

func result(req call.Request, w link.Wire) (json.RawMessage, error) {
	var conf struct {
		CNIVersion string `json:"cniVersion"`
	}
	if err := json.Unmarshal(req.Config, &conf); err != nil {
		return nil, &call.Error{Code: call.CodeDecode, Msg: err.Error()}
	}
	r := addResult{CNIVersion: conf.CNIVersion, Interfaces: []netInterface{
		{Name: w.Host, Mac: link.HostMAC().String()},
		{Name: w.Pod, Mac: link.MAC(w.Addrs[0]).String(), Sandbox: req.NetNS},
	}}
	if conf.CNIVersion != "1.0.0" {
		r.Interfaces[0].MTU, r.Interfaces[1].MTU = w.MTU, w.MTU
	}
	for _, a := range w.Addrs {
		gw, dst := link.Gateway, "0.0.0.0/0"
		if a.Is6() {
			gw, dst = link.Gateway6, "::/0"
		}
		r.IPs = append(r.IPs, ipConfig{Interface: 1, Address: netip.PrefixFrom(a, a.BitLen()).String(), Gateway: gw.String()})
		r.Routes = append(r.Routes, route{Dst: dst, GW: gw.String()})
	}
	return json.Marshal(r)
}
