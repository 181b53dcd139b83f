package service

import (
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// begin takes what svc needs. On an update it takes only what old has not, and
// gives back what svc no longer needs once the update has succeeded.
func (a *Allocator) begin(svc, old *corev1.Service, dryRun bool) (*change, error) {
	a.mu.Lock()
	c := &change{a: a, dryRun: dryRun}
	err := a.setFamilies(svc, old)
	if err == nil {
		err = a.takeAddresses(c, svc, old)
	}
	if err == nil {
		err = a.takePorts(c, svc, old)
	}
	a.mu.Unlock()
	if err != nil {
		c.finish(false)
		return nil, err
	}
	return c, nil
}

func (a *Allocator) takeAddresses(c *change, svc, old *corev1.Service) error {
	held := map[netip.Addr]bool{}
	if old != nil {
		for _, ip := range heldAddresses(old) {
			held[ip] = true
		}
	}
	wanted := map[netip.Addr]bool{}
	spec := &svc.Spec
	if spec.Type != corev1.ServiceTypeExternalName && !headless(svc) && !keepsPreference(svc, old) {
		for i, family := range spec.IPFamilies {
			if i >= len(spec.ClusterIPs) {
				spec.ClusterIPs = append(spec.ClusterIPs, "")
			}
			ip, err := a.takeAddress(c, svc, family, spec.ClusterIPs[i], held)
			if err != nil {
				return err
			}
			wanted[ip] = true
			spec.ClusterIPs[i] = ip.String()
		}
		if len(spec.ClusterIPs) > 0 {
			spec.ClusterIP = spec.ClusterIPs[0]
		}
	} else if spec.Type != corev1.ServiceTypeExternalName {
		for _, ip := range heldAddresses(svc) {
			wanted[ip] = true
		}
	}
	for ip := range held {
		if !wanted[ip] {
			c.onSuccess(func() { a.releaseAddress(ip, old) })
		}
	}
	return nil
}

// attempts is how many addresses are tried whose objects turn out to be others'.
const attempts = 100

// takeAddress takes the wanted address, or any when none is named.
func (a *Allocator) takeAddress(c *change, svc *corev1.Service, family corev1.IPFamily, wanted string, held map[netip.Addr]bool) (netip.Addr, error) {
	pools, err := a.pools(family)
	if err != nil {
		return netip.Addr{}, apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: %w", err))
	}
	if wanted == "" {
		return a.takeAny(c, svc, pools)
	}
	ip, err := netip.ParseAddr(wanted)
	if err == nil && held[ip] {
		return ip, nil
	}
	if err == nil {
		err = reserve(pools, ip)
	}
	switch {
	case err == nil:
		if _, err = a.object(c, svc, ip); err != nil {
			a.free(ip)
		}
	case errors.Is(err, errAllocated):
		// Another server may have given it back: then it has no object.
		if made, failure := a.object(c, svc, ip); made {
			err = failure
		}
	}
	if err != nil {
		return ip, invalid(svc, field.Invalid(clusterPath, svc.Spec.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %v", wanted, err)))
	}
	c.undoable(func() { a.free(ip) })
	return ip, nil
}

// reserve marks an address in the first range that has it.
func reserve(pools []*addresses, ip netip.Addr) error {
	for _, pool := range pools {
		if err := pool.reserve(ip); !errors.Is(err, errMismatched) {
			return err
		}
	}
	return errMismatched
}

// takeAny takes an address of the first range that has a free one.
func (a *Allocator) takeAny(c *change, svc *corev1.Service, pools []*addresses) (netip.Addr, error) {
	err := errFull
	for _, pool := range pools {
		var ip netip.Addr
		if ip, err = a.takeFrom(c, svc, pool); err == nil {
			return ip, nil
		}
		if !errors.Is(err, errFull) && !errors.Is(err, errAllocated) {
			break
		}
	}
	return netip.Addr{}, apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: %w", err))
}

func (a *Allocator) takeFrom(c *change, svc *corev1.Service, pool *addresses) (netip.Addr, error) {
	var others []netip.Addr // kept until one is found, so that each is tried once
	defer func() {
		for _, ip := range others {
			pool.release(ip)
		}
	}()
	for {
		ip, err := pool.any()
		if err != nil {
			return ip, err
		}
		if _, err = a.object(c, svc, ip); err == nil {
			c.undoable(func() { a.free(ip) })
			return ip, nil
		}
		others = append(others, ip)
		if !errors.Is(err, errAllocated) || len(others) >= attempts {
			return ip, err
		}
	}
}

// object makes the object of an address, and says whether it was there before; a
// dry run makes none.
func (a *Allocator) object(c *change, svc *corev1.Service, ip netip.Addr) (made bool, err error) {
	if c.dryRun {
		return false, nil
	}
	mine, made, err := a.objects.Take(ip, svc)
	if err == nil && !mine {
		return false, errAllocated
	}
	if made {
		c.undoable(func() { a.objects.Give(ip, svc) })
	}
	return made, err
}

func usesNodePorts(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// wantsNodePorts says whether ports are to be chosen that the user left open.
func wantsNodePorts(svc *corev1.Service) bool {
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.AllocateLoadBalancerNodePorts != nil {
		return *svc.Spec.AllocateLoadBalancerNodePorts
	}
	return usesNodePorts(svc)
}

func wantsHealthPort(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func (a *Allocator) takePorts(c *change, svc, old *corev1.Service) error {
	if !usesNodePorts(svc) && !wantsHealthPort(svc) {
		return nil
	}
	now, err := a.portsNow()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	held := map[int32]bool{}
	if old != nil {
		for _, port := range heldPorts(old) {
			held[port] = true
		}
	}
	take := func(port int32) {
		a.underway[port] = true
		c.ports = append(c.ports, port)
		held[port] = true
	}
	reserve := func(port int32) error {
		if held[port] {
			return nil
		}
		err := now.reserve(port)
		if err == nil {
			take(port)
		}
		return err
	}
	choose := func() (int32, error) {
		port, err := now.any()
		if err == nil {
			take(port)
		}
		return port, err
	}
	if usesNodePorts(svc) {
		if err := nodePorts(svc, reserve, choose); err != nil {
			return err
		}
	}
	if wantsHealthPort(svc) {
		if err := healthPort(svc, reserve, choose); err != nil {
			return apierrors.NewInternalError(err)
		}
	}
	return nil
}

// nodePorts gives the TCP and UDP side of one service port the same node port.
func nodePorts(svc *corev1.Service, reserve func(int32) error, choose func() (int32, error)) error {
	byPort := map[int32]int32{}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if p.NodePort == 0 {
			continue
		}
		if err := reserve(p.NodePort); err != nil {
			return invalid(svc, field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), p.NodePort, err.Error()))
		}
		if _, ok := byPort[p.Port]; !ok {
			byPort[p.Port] = p.NodePort
		}
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if p.NodePort != 0 || !wantsNodePorts(svc) {
			continue
		}
		if same, ok := byPort[p.Port]; ok && !nodePortUsed(svc, same, p.Protocol) {
			p.NodePort = same
			continue
		}
		port, err := choose()
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
		}
		p.NodePort = port
		byPort[p.Port] = port
	}
	return nil
}

func nodePortUsed(svc *corev1.Service, port int32, protocol corev1.Protocol) bool {
	for _, p := range svc.Spec.Ports {
		if p.NodePort == port && p.Protocol == protocol {
			return true
		}
	}
	return false
}

func healthPort(svc *corev1.Service, reserve func(int32) error, choose func() (int32, error)) error {
	if port := svc.Spec.HealthCheckNodePort; port != 0 {
		if err := reserve(port); err != nil {
			return fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", port, err)
		}
		return nil
	}
	port, err := choose()
	if err != nil {
		return fmt.Errorf("failed to allocate a HealthCheck NodePort %v: %w", port, err)
	}
	svc.Spec.HealthCheckNodePort = port
	return nil
}
