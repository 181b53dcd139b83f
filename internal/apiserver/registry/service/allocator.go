package service

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Allocator gives Services their addresses and node ports. What other servers
// give to theirs is respected: an address by its object, a node port by looking
// at what is stored whenever one is asked for.
type Allocator struct {
	mu        sync.Mutex
	families  map[corev1.IPFamily]*addresses // of the ranges that flags give
	later     map[netip.Prefix]*addresses    // of ranges that ServiceCIDRs add
	primary   corev1.IPFamily
	nodePorts utilnet.PortRange
	underway  map[int32]bool // node ports of requests that are not finished
	objects   Objects
}

// Objects are what all servers share: the Services, and the IPAddresses, each of
// which stands for an address in use.
type Objects interface {
	// Services are those that are stored now.
	Services() ([]corev1.Service, error)
	// Take makes the object of ip, and says whether it is svc's now and whether
	// it was made: one of that name may have had it before.
	Take(ip netip.Addr, svc *corev1.Service) (mine, made bool, err error)
	// Give removes the object of ip if it is svc's.
	Give(ip netip.Addr, svc *corev1.Service)
	// Ranges are the ranges that ServiceCIDRs name, and whether addresses are
	// given out of them.
	Ranges() (map[netip.Prefix]bool, error)
	// Taken are the addresses in use within a range.
	Taken(within netip.Prefix) ([]netip.Addr, error)
}

// NewAllocator makes an Allocator with everything free.
func NewAllocator(cidrs []netip.Prefix, nodePorts utilnet.PortRange, objects Objects) (*Allocator, error) {
	a := &Allocator{families: map[corev1.IPFamily]*addresses{}, later: map[netip.Prefix]*addresses{}, nodePorts: nodePorts, underway: map[int32]bool{}, objects: objects}
	for i, cidr := range cidrs {
		pool, err := newAddresses(cidr)
		if err != nil {
			return nil, err
		}
		family := familyOf(cidr.Addr())
		if i == 0 {
			a.primary = family
		}
		a.families[family] = pool
	}
	return a, nil
}

// Problem is a node port that a stored Service holds and should not, in the
// words of an event. Of addresses the loop tells that looks after their objects.
type Problem struct {
	Service         *corev1.Service
	Reason, Message string
}

// Repair reads back what the stored Services hold and returns what is wrong.
func (a *Allocator) Repair(list *corev1.ServiceList) []Problem {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Problem
	held := newPorts(a.nodePorts)
	for i := range list.Items {
		svc := &list.Items[i]
		for _, ip := range heldAddresses(svc) {
			if pool := a.families[familyOf(ip)]; pool != nil {
				_ = pool.reserve(ip) // the loop tells that looks after the objects
			}
		}
		for _, port := range heldPorts(svc) {
			err := held.reserve(port)
			switch {
			case errors.Is(err, errPortAllocated):
				out = append(out, Problem{svc, "PortAlreadyAllocated", fmt.Sprintf("Port %d was assigned to multiple services; please recreate service", port)})
			case err != nil:
				out = append(out, Problem{svc, "PortOutOfRange", fmt.Sprintf("Port %d is not within the port range %s; please recreate service", port, a.nodePorts.String())})
			}
		}
	}
	return out
}

// Release frees the addresses that a deleted Service held.
func (a *Allocator) Release(svc *corev1.Service) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ip := range heldAddresses(svc) {
		a.releaseAddress(ip, svc)
	}
}

func (a *Allocator) releaseAddress(ip netip.Addr, svc *corev1.Service) {
	a.free(ip)
	a.objects.Give(ip, svc)
}

// free marks an address as free wherever it is marked.
func (a *Allocator) free(ip netip.Addr) {
	if pool := a.families[familyOf(ip)]; pool != nil {
		pool.release(ip)
	}
	for _, pool := range a.later {
		pool.release(ip)
	}
}

// heldAddresses are the cluster addresses of svc; none if it is headless.
func heldAddresses(svc *corev1.Service) []netip.Addr {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	var out []netip.Addr
	for _, s := range svc.Spec.ClusterIPs {
		if ip, err := netip.ParseAddr(s); err == nil {
			out = append(out, ip)
		}
	}
	return out
}

// heldPorts are the node ports of svc, each once.
func heldPorts(svc *corev1.Service) []int32 {
	var out []int32
	seen := map[int32]bool{}
	add := func(port int32) {
		if port != 0 && !seen[port] {
			seen[port] = true
			out = append(out, port)
		}
	}
	for _, p := range svc.Spec.Ports {
		add(p.NodePort)
	}
	add(svc.Spec.HealthCheckNodePort)
	return out
}

// change is what one request has taken and will give back.
type change struct {
	a        *Allocator
	dryRun   bool
	taken    []func() // undo
	released []func() // do on success
	ports    []int32  // node ports that it takes
}

func (c *change) undoable(undo func()) { c.taken = append(c.taken, undo) }

func (c *change) onSuccess(do func()) { c.released = append(c.released, do) }

// finish keeps the change if the request has succeeded. A dry run has taken
// things only for as long as the request lasts.
func (c *change) finish(success bool) {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	todo := c.taken
	if success && !c.dryRun {
		todo = c.released
	}
	for _, f := range todo {
		f()
	}
	for _, port := range c.ports {
		delete(c.a.underway, port) // from here on the stored Service holds it, or nobody
	}
	c.taken, c.released, c.ports = nil, nil, nil
}
