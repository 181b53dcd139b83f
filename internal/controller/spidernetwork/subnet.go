package spidernetwork

import (
	"context"
	"encoding/json"
	"net/netip"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/autopool"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// subnet says which pools have which addresses of a subnet, and lets it go when
// none has any.
func (c *controller) subnet(ctx context.Context, name string) error {
	subnet := &spiderpoolv2beta1.SpiderSubnet{}
	if err := c.env.Cache.Get(ctx, types.NamespacedName{Name: name}, subnet); err != nil {
		return client.IgnoreNotFound(err)
	}
	pools := &spiderpoolv2beta1.SpiderIPPoolList{}
	if err := c.env.Cache.List(ctx, pools); err != nil {
		return err
	}
	controlled := map[string]spiderpoolv2beta1.PoolIPPreAllocation{}
	var taken []address.Span
	for i := range pools.Items {
		p := &pools.Items[i]
		if p.Spec.Subnet != subnet.Spec.Subnet {
			continue
		}
		spans := total(p.Spec.Subnet, p.Spec.IPs, p.Spec.ExcludeIPs)
		taken = append(taken, spans...)
		ips := []string{}
		for _, s := range spans {
			ips = append(ips, s.String())
		}
		one := spiderpoolv2beta1.PoolIPPreAllocation{IPs: ips}
		if app, ok := autopool.Owner(p); ok {
			one.Application = ptr.To(app.Application())
		}
		controlled[p.Name] = one
	}
	if subnet.DeletionTimestamp != nil && len(controlled) == 0 {
		subnet = subnet.DeepCopy()
		had := len(subnet.Finalizers)
		if subnet.Finalizers = without(subnet.Finalizers); len(subnet.Finalizers) == had {
			return nil
		}
		return client.IgnoreNotFound(c.env.Write.Update(ctx, subnet))
	}
	status := spiderpoolv2beta1.SubnetStatus{
		TotalIPCount:     ptr.To(address.Count(total(subnet.Spec.Subnet, subnet.Spec.IPs, subnet.Spec.ExcludeIPs))),
		AllocatedIPCount: ptr.To(address.Count(taken)),
	}
	if len(controlled) > 0 {
		text, err := json.Marshal(controlled)
		if err != nil {
			return err
		}
		status.ControlledIPPools = ptr.To(string(text))
	}
	if equality.Semantic.DeepEqual(status, subnet.Status) {
		return nil
	}
	subnet = subnet.DeepCopy()
	subnet.Status = status
	return client.IgnoreNotFound(c.env.Write.Status().Update(ctx, subnet))
}

// total is what a pool or subnet can give away; nothing if it cannot be read.
func total(subnet string, ips, excluded []string) []address.Span {
	p, err := address.ParsePool("", 0, subnet, ips, excluded, "")
	if err != nil {
		return nil
	}
	return address.Subtract(p.Spans, p.Excluded)
}

// coordinator says what the cluster's ranges are.
func (c *controller) coordinator(ctx context.Context, name string) error {
	have := &spiderpoolv2beta1.SpiderCoordinator{}
	if err := c.env.Cache.Get(ctx, types.NamespacedName{Name: name}, have); err != nil {
		return client.IgnoreNotFound(err)
	}
	if have.DeletionTimestamp != nil {
		have = have.DeepCopy()
		had := len(have.Finalizers)
		if have.Finalizers = without(have.Finalizers); len(have.Finalizers) == had {
			return nil
		}
		return client.IgnoreNotFound(c.env.Write.Update(ctx, have))
	}
	status := spiderpoolv2beta1.CoordinatorStatus{Phase: "Synced", OverlayPodCIDR: []string{}, ServiceCIDR: texts(c.config.ServiceCIDRs)}
	switch podCIDRType := ptr.Deref(have.Spec.PodCIDRType, "auto"); podCIDRType {
	case "auto", "cluster":
		status.OverlayPodCIDR = texts(c.config.ClusterCIDRs)
	case "calico", "cilium":
		status.Phase, status.Reason = "NotReady", "podCIDRType "+podCIDRType+": pods of this cluster have their addresses from Berth; say auto"
	}
	if equality.Semantic.DeepEqual(status, have.Status) {
		return nil
	}
	have = have.DeepCopy()
	have.Status = status
	return client.IgnoreNotFound(c.env.Write.Status().Update(ctx, have))
}

func texts(cidrs []netip.Prefix) []string {
	out := []string{}
	for _, p := range cidrs {
		out = append(out, p.String())
	}
	return out
}
