package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/network/cni/call"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// pod is whom a sandbox is for.
type pod struct {
	types.NamespacedName
	uid string
}

// podOf reads CNI_ARGS as the runtime fills it.
func podOf(args string) (pod, error) {
	var p pod
	for pair := range strings.SplitSeq(args, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "K8S_POD_NAMESPACE":
			p.Namespace = value
		case "K8S_POD_NAME":
			p.Name = value
		case "K8S_POD_UID":
			p.uid = value
		}
	}
	if p.Namespace == "" || p.Name == "" {
		return p, &call.Error{Code: call.CodeInvalidEnvironment, Msg: fmt.Sprintf("CNI_ARGS %q names no pod (K8S_POD_NAMESPACE, K8S_POD_NAME)", args)}
	}
	return p, nil
}

// add waits for the pod's address and makes the wire.
func (s *Server) add(ctx context.Context, req call.Request, ns *os.File) (json.RawMessage, error) {
	p, err := podOf(req.Args)
	if err != nil {
		return nil, err
	}
	if ns == nil || req.ContainerID == "" || req.IfName == "" {
		return nil, &call.Error{Code: call.CodeInvalidEnvironment, Msg: "ADD needs CNI_CONTAINERID, CNI_IFNAME and CNI_NETNS"}
	}
	wait, cancel := s.whileWanted(ctx, p)
	defer cancel()
	began := time.Now()
	e, err := s.grants.wait(wait, p)
	if err != nil {
		return nil, &call.Error{Code: call.CodeTryAgain, Msg: err.Error()}
	}
	s.waits.since(began)
	networks, err := attachment.Resolved(e.Annotations)
	if err != nil {
		return nil, fmt.Errorf("SpiderEndpoint %s: %w", p, err)
	}
	if len(networks) > 0 {
		if err := s.removed(ctx, link.HostName(req.ContainerID, req.IfName)); err != nil {
			return nil, err
		}
		return s.addSeveral(ctx, wait, &several{s: s, req: req, pod: p, ns: ns, endpoint: e, networks: networks})
	}
	addrs, err := addressesOf(e, req.IfName)
	if err != nil {
		return nil, err
	}
	w := link.Wire{
		Host: link.HostName(req.ContainerID, req.IfName), Pod: req.IfName, NetNS: int(ns.Fd()),
		Owner: p.String(), Addrs: addrs, Sources: s.config.NodeIPs, MTU: s.mtu(),
	}
	if err := s.removed(ctx, w.Host); err != nil {
		return nil, err
	}
	if s.config.Guard != nil {
		if err := s.config.Guard(wait, p.NamespacedName, types.UID(p.uid), addrs); err != nil {
			return nil, &call.Error{Code: call.CodeTryAgain, Msg: err.Error()}
		}
	}
	if err := link.Attach(w); err != nil {
		return nil, fmt.Errorf("network of pod %s: %w", p, err)
	}
	return result(req, w)
}

// mtu is what fits everywhere: where there are nodes on other segments, into the
// overlay. Wires from before the first of these are told by the kernel, packet
// by packet.
func (s *Server) mtu() int {
	if overlay := link.OverlayMTU(); overlay > 0 && overlay < s.config.MTU {
		return overlay
	}
	return s.config.MTU
}

var errEnding = errors.New("the pod is to end")

// whileWanted ends when the pod is to end, or has waited long enough.
func (s *Server) whileWanted(ctx context.Context, p pod) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	wait, cancel := context.WithTimeout(ctx, s.wait)
	if s.config.Ending != nil && p.uid != "" {
		if ending := s.config.Ending(types.UID(p.uid)); ending != nil {
			go func() {
				select {
				case <-ending:
					end(errEnding)
				case <-wait.Done():
				}
			}()
		}
	}
	return wait, func() {
		cancel()
		end(nil)
	}
}

// addressesOf is what an endpoint grants for one interface.
func addressesOf(e *spiderpoolv2beta1.SpiderEndpoint, ifName string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, ip := range e.Status.Current.IPs {
		if ip.NIC != ifName {
			continue
		}
		for _, cidr := range []string{ip.IPv4, ip.IPv6} {
			if cidr == "" {
				continue
			}
			prefix, err := netip.ParsePrefix(cidr)
			if err != nil {
				return nil, fmt.Errorf("SpiderEndpoint %s/%s: %w", e.Namespace, e.Name, err)
			}
			out = append(out, prefix.Addr())
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("SpiderEndpoint %s/%s has no address for interface %s", e.Namespace, e.Name, ifName)
	}
	return out, nil
}

// del removes a wire in the background: the kernel takes some 20 ms to let go
// of a device, and nothing of the pod depends on it. Its route goes with it,
// unless that leads to a newer wire already.
func (s *Server) del(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removing[host] != nil {
		return
	}
	done := make(chan struct{})
	s.removing[host] = done
	s.wires.Go(func() {
		if err := link.Detach(host); err != nil {
			s.config.Log.Warn("a pod's interface is left behind", "interface", host, "error", err)
		}
		s.mu.Lock()
		delete(s.removing, host)
		s.mu.Unlock()
		close(done)
	})
}

// removed waits until a removal of the same wire is through.
func (s *Server) removed(ctx context.Context, host string) error {
	s.mu.Lock()
	done := s.removing[host]
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check reports whether the wire is as ADD made it.
func (s *Server) check(req call.Request, ns *os.File) error {
	p, err := podOf(req.Args)
	if err != nil {
		return err
	}
	e, ok := s.grants.of(p)
	if !ok {
		return fmt.Errorf("pod %s has no address any more", p)
	}
	addrs, err := addressesOf(e, req.IfName)
	if err != nil {
		return err
	}
	networks, err := attachment.Resolved(e.Annotations)
	if err != nil {
		return err
	}
	if len(networks) > 0 {
		if err := s.checkSeveral(req, ns, e, networks); err != nil || networks[0].Interface == req.IfName && networks[0].Join == nil {
			return err
		}
	}
	return link.Check(link.HostName(req.ContainerID, req.IfName), addrs)
}

// end undoes what a sandbox has. With networks of the machine it takes as long as
// their plugins do.
func (s *Server) end(ctx context.Context, req call.Request, ns *os.File) error {
	s.forgetDetections(func(sandbox string) bool { return sandbox == req.ContainerID })
	a, err := s.records.read(req.ContainerID)
	if err != nil {
		return err
	}
	if a == nil {
		s.del(link.HostName(req.ContainerID, req.IfName))
		return nil
	}
	netns := ""
	if ns != nil {
		netns = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
	}
	return s.records.undo(ctx, a, netns)
}

// sweep undoes what sandboxes left that ended while nobody listened.
func (s *Server) sweep(ctx context.Context) {
	all, err := s.records.list()
	for _, a := range all {
		if a.gone() {
			err = errors.Join(err, s.records.undo(ctx, a, ""))
		}
	}
	if err != nil {
		s.config.Log.Warn("networks of pods that are gone are left behind", "error", err)
	}
}

// collect removes the wires of sandboxes that the runtime does not know.
func (s *Server) collect(ctx context.Context, req call.Request) error {
	var conf struct {
		Valid []struct {
			ContainerID string `json:"containerID"`
			IfName      string `json:"ifname"`
		} `json:"cni.dev/valid-attachments"`
	}
	if err := json.Unmarshal(req.Config, &conf); err != nil {
		return &call.Error{Code: call.CodeDecode, Msg: err.Error()}
	}
	keep, known := map[string]bool{}, map[string]bool{}
	for _, v := range conf.Valid {
		known[v.ContainerID] = true
		keep[link.HostName(v.ContainerID, v.IfName)] = true
	}
	s.forgetDetections(func(sandbox string) bool { return !known[sandbox] })
	all, err := s.records.list()
	for _, a := range all {
		if !known[a.ContainerID] {
			err = errors.Join(err, s.records.undo(ctx, a, ""))
		}
	}
	if err != nil {
		return err
	}
	wires, err := link.List()
	if err != nil {
		return err
	}
	for _, w := range wires {
		if !keep[w.Host] {
			s.del(w.Host)
		}
	}
	return nil
}
