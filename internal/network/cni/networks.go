package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/network/cni/call"
	"berth.dev/berth/internal/network/cni/plugin"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// several is the making of a pod that has interfaces in networks of the machine.
type several struct {
	s        *Server
	req      call.Request
	pod      pod
	ns       *os.File
	endpoint *spiderpoolv2beta1.SpiderEndpoint
	networks []attachment.Attachment
	record   *attached
	join     *attachment.Join
	made     []link.Interface
	// outside is found out on the machine's interfaces, before the pod has its own.
	outside, inPod *detection
}

// first is the attachment that is the pod's first interface, nil for the node's
// own network.
func (v *several) first() *attachment.Attachment {
	if v.networks[0].Interface == v.req.IfName {
		return &v.networks[0]
	}
	return nil
}

// addSeveral makes all interfaces of a pod, or none. What it waits for ends with
// wait; what it makes takes its time.
func (s *Server) addSeveral(ctx, wait context.Context, v *several) (json.RawMessage, error) {
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	addrs, err := addressesOf(v.endpoint, v.req.IfName)
	if err == nil {
		v.outside, err = s.detectionFor(v)
	}
	if err != nil {
		return nil, err
	}
	if s.config.Guard != nil {
		if err := s.config.Guard(wait, v.pod.NamespacedName, types.UID(v.pod.uid), addrs); err != nil {
			return nil, &call.Error{Code: call.CodeTryAgain, Msg: err.Error()}
		}
	}
	if err := v.headStart(wait); err != nil {
		s.found(ctx, v.pod, err)
		return nil, fmt.Errorf("network of pod %s: %w", v.pod, err)
	}
	if err := s.records.write(v.record); err != nil {
		return nil, err
	}
	out, err := v.make(ctx, addrs)
	if err == nil {
		err = v.detectInPod()
	}
	if err == nil {
		err = s.records.write(v.record) // with the results
	}
	var status []networkStatus
	if err == nil {
		status, err = v.status()
	}
	if err != nil {
		err = fmt.Errorf("network of pod %s: %w", v.pod, err)
		return nil, errors.Join(err, s.records.undo(ctx, v.record, v.netns()))
	}
	v.follow(ctx, status)
	return out, nil
}

// netns is the pod's namespace for plugins.
func (v *several) netns() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), v.ns.Fd()) }

// prepare finds out what can be known before anything is made.
func (v *several) prepare(ctx context.Context) error {
	v.record = &attached{
		Namespace: v.pod.Namespace, Name: v.pod.Name, UID: v.pod.uid, ContainerID: v.req.ContainerID, IfName: v.req.IfName, NetNS: v.req.NetNS,
	}
	for i := range v.networks {
		a := &v.networks[i]
		detail := attachment.Detail(v.endpoint, a.Interface)
		if a.Pooled && len(attachment.Prefixes(detail)) == 0 {
			return fmt.Errorf("SpiderEndpoint %s has no address for interface %s", v.pod, a.Interface)
		}
		for _, p := range attachment.Prefixes(detail) {
			if own, err := link.Own(p.Addr()); err != nil || own {
				return errors.Join(err, fmt.Errorf("address %s of interface %s is this machine's own; take it out of the pool, or reserve it (SpiderReservedIP)", p.Addr(), a.Interface))
			}
		}
		chain := &plugin.Chain{
			Version: a.Version, Plugins: a.Configured(detail), ContainerID: v.req.ContainerID, IfName: a.Interface, Args: v.req.Args,
		}
		if err := v.s.records.path.Check(chain.Plugins); err != nil {
			return fmt.Errorf("network %s: %w", a.Network, err)
		}
		if master := a.Master(); master != "" && !link.Exists(master) {
			return fmt.Errorf("network %s: this node has no interface %s, which is its master", a.Network, master)
		}
		v.record.Chains = append(v.record.Chains, chain)
		if v.join == nil {
			v.join = a.Join
		}
	}
	return v.s.forgetOlder(ctx, v.pod, v.req.ContainerID)
}

// forgetOlder undoes what is left of earlier sandboxes of a pod.
func (s *Server) forgetOlder(ctx context.Context, p pod, containerID string) error {
	all, err := s.records.list()
	for _, a := range all {
		if a.Namespace == p.Namespace && a.Name == p.Name && a.ContainerID != containerID && (a.UID != p.uid || a.gone()) {
			err = errors.Join(err, s.records.undo(ctx, a, ""))
		}
	}
	return err
}

func (v *several) make(ctx context.Context, addrs []netip.Addr) (json.RawMessage, error) {
	if err := link.Prepare(int(v.ns.Fd())); err != nil {
		return nil, err
	}
	w := v.wire(addrs)
	if v.first() == nil {
		if err := link.Attach(w); err != nil {
			return nil, err
		}
		v.note(v.req.IfName, true)
	}
	for i := range v.networks {
		if err := v.s.records.path.Add(ctx, v.record.Chains[i], v.netns()); err != nil {
			return nil, fmt.Errorf("interface %s, network %s: %w", v.networks[i].Interface, v.networks[i].Network, err)
		}
		v.note(v.networks[i].Interface, false)
	}
	if first := v.first(); first != nil && first.Join != nil {
		w.Pod, w.Beside, w.To = attachment.NodeNIC, true, v.cluster(first.Join.To)
		if a, err := netip.ParseAddr(first.Join.LinkAddress); err == nil {
			w.LinkAddr = a
		}
		if first.Join.MTU > 0 {
			w.MTU = first.Join.MTU
		}
		if err := link.Attach(w); err != nil {
			return nil, err
		}
	}
	if err := link.SetUpInside(v.inside()); err != nil {
		return nil, err
	}
	if v.first() == nil {
		return result(v.req, w)
	}
	return v.resultOf(v.record.Chains[0], addrs)
}

func (v *several) wire(addrs []netip.Addr) link.Wire {
	return link.Wire{
		Host: link.HostName(v.req.ContainerID, v.req.IfName), Pod: v.req.IfName, NetNS: int(v.ns.Fd()),
		Owner: v.pod.String(), Addrs: addrs, Sources: v.s.config.NodeIPs, MTU: v.s.mtu(),
	}
}

// cluster is what a pod reaches by its node: the node, the cluster's ranges, and
// what the coordinator adds.
func (v *several) cluster(more []string) []netip.Prefix {
	out := append([]netip.Prefix{}, v.s.config.Cluster...)
	for _, ip := range v.s.config.NodeIPs {
		out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
	}
	for _, text := range more {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// note remembers an interface for the routes inside the pod.
func (v *several) note(name string, wire bool) {
	d := attachment.Detail(v.endpoint, name)
	nic := link.Interface{Name: name, Wire: wire, Prefixes: attachment.Prefixes(d), Gateways: attachment.Gateways(d)}
	if d != nil {
		for _, r := range d.Routes {
			to, err := netip.ParsePrefix(r.Dst)
			by, errBy := netip.ParseAddr(r.Gw)
			if err == nil && errBy == nil {
				nic.Routes = append(nic.Routes, link.Hop{To: to, By: by})
			}
		}
	}
	v.made = append(v.made, nic)
}

func (v *several) inside() link.Inside {
	in := link.Inside{NetNS: int(v.ns.Fd()), Interfaces: v.made, Default: v.req.IfName, RPFilter: -1}
	for i := range v.networks {
		if v.networks[i].DefaultRoute {
			in.Default = v.networks[i].Interface
		}
	}
	var more []string
	if v.join != nil {
		more, in.Tables, in.RPFilter, in.TxQueueLen = v.join.To, v.join.Tables, v.join.RPFilter, v.join.TxQueueLen
	}
	in.Cluster = v.cluster(more)
	return in
}

// resultOf is a plugin's result in the version that the runtime asked for.
func (v *several) resultOf(c *plugin.Chain, addrs []netip.Addr) (json.RawMessage, error) {
	var conf struct {
		CNIVersion string `json:"cniVersion"`
	}
	if err := json.Unmarshal(v.req.Config, &conf); err != nil {
		return nil, &call.Error{Code: call.CodeDecode, Msg: err.Error()}
	}
	facts, err := link.Look(int(v.ns.Fd()), v.req.IfName)
	if err != nil {
		return nil, err
	}
	r := addResult{CNIVersion: conf.CNIVersion, Interfaces: []netInterface{{Name: v.req.IfName, Mac: facts.MAC, Sandbox: v.req.NetNS}}}
	d := attachment.Detail(v.endpoint, c.IfName)
	for _, a := range addrs {
		ip := ipConfig{Interface: 0}
		for _, p := range attachment.Prefixes(d) {
			if p.Addr() == a {
				ip.Address = p.String()
			}
		}
		for _, gw := range attachment.Gateways(d) {
			if gw.Is4() == a.Is4() {
				ip.Gateway = gw.String()
			}
		}
		r.IPs = append(r.IPs, ip)
	}
	return json.Marshal(r)
}

// checkSeveral reports whether the interfaces are as ADD made them.
func (s *Server) checkSeveral(req call.Request, ns *os.File, e *spiderpoolv2beta1.SpiderEndpoint, networks []attachment.Attachment) error {
	a, err := s.records.read(req.ContainerID)
	if err == nil && a == nil {
		err = errors.New("the sandbox has no networks of the machine any more")
	}
	if err != nil || ns == nil {
		return err
	}
	for i := range networks {
		n := &networks[i]
		facts, err := link.Look(int(ns.Fd()), n.Interface)
		if err != nil {
			return err
		}
		if !facts.Up {
			return fmt.Errorf("interface %s is down", n.Interface)
		}
		for _, want := range attachment.Prefixes(attachment.Detail(e, n.Interface)) {
			found := false
			for _, have := range facts.Addrs {
				found = found || have == want
			}
			if n.Pooled && !found {
				return fmt.Errorf("interface %s has lost its address %s", n.Interface, want)
			}
		}
	}
	return nil
}
