package v2beta1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyObject implements runtime.Object.
func (in *SpiderReservedIP) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderReservedIPList) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy returns an independent copy.
func (in *SpiderReservedIP) DeepCopy() *SpiderReservedIP {
	if in == nil {
		return nil
	}
	out := new(SpiderReservedIP)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderReservedIP) DeepCopyInto(out *SpiderReservedIP) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
}

// DeepCopy returns an independent copy.
func (in *SpiderReservedIPList) DeepCopy() *SpiderReservedIPList {
	if in == nil {
		return nil
	}
	out := &SpiderReservedIPList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]SpiderReservedIP, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *ReservedIPSpec) DeepCopyInto(out *ReservedIPSpec) {
	*out = *in
	out.IPVersion = copied(in.IPVersion)
	out.IPs = slices.Clone(in.IPs)
}

// DeepCopyObject implements runtime.Object.
func (in *SpiderSubnet) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderSubnetList) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy returns an independent copy.
func (in *SpiderSubnet) DeepCopy() *SpiderSubnet {
	if in == nil {
		return nil
	}
	out := new(SpiderSubnet)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderSubnet) DeepCopyInto(out *SpiderSubnet) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
	in.Status.DeepCopyInto(&out.Status)
}

// DeepCopy returns an independent copy.
func (in *SpiderSubnetList) DeepCopy() *SpiderSubnetList {
	if in == nil {
		return nil
	}
	out := &SpiderSubnetList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]SpiderSubnet, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SubnetSpec) DeepCopyInto(out *SubnetSpec) {
	*out = *in
	out.IPVersion = copied(in.IPVersion)
	out.Gateway = copied(in.Gateway)
	out.IPs = slices.Clone(in.IPs)
	out.ExcludeIPs = slices.Clone(in.ExcludeIPs)
	out.Routes = slices.Clone(in.Routes)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SubnetStatus) DeepCopyInto(out *SubnetStatus) {
	*out = *in
	out.ControlledIPPools = copied(in.ControlledIPPools)
	out.TotalIPCount = copied(in.TotalIPCount)
	out.AllocatedIPCount = copied(in.AllocatedIPCount)
}

// DeepCopyObject implements runtime.Object.
func (in *SpiderCoordinator) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderCoordinatorList) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy returns an independent copy.
func (in *SpiderCoordinator) DeepCopy() *SpiderCoordinator {
	if in == nil {
		return nil
	}
	out := new(SpiderCoordinator)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderCoordinator) DeepCopyInto(out *SpiderCoordinator) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
	in.Status.DeepCopyInto(&out.Status)
}

// DeepCopy returns an independent copy.
func (in *SpiderCoordinatorList) DeepCopy() *SpiderCoordinatorList {
	if in == nil {
		return nil
	}
	out := &SpiderCoordinatorList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]SpiderCoordinator, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *CoordinatorSpec) DeepCopyInto(out *CoordinatorSpec) {
	*out = *in
	out.Mode = copied(in.Mode)
	out.PodCIDRType = copied(in.PodCIDRType)
	out.PodMACPrefix = copied(in.PodMACPrefix)
	out.TunePodRoutes = copied(in.TunePodRoutes)
	out.PodDefaultRouteNIC = copied(in.PodDefaultRouteNIC)
	out.HostRuleTable = copied(in.HostRuleTable)
	out.PodRPFilter = copied(in.PodRPFilter)
	out.TxQueueLen = copied(in.TxQueueLen)
	out.VethLinkAddress = copied(in.VethLinkAddress)
	out.VethMTU = copied(in.VethMTU)
	out.DetectIPConflict = copied(in.DetectIPConflict)
	out.DetectGateway = copied(in.DetectGateway)
	out.HijackCIDR = slices.Clone(in.HijackCIDR)
	out.PolicyRoutes = slices.Clone(in.PolicyRoutes)
}

// DeepCopyInto makes out an independent copy of in.
func (in *CoordinatorStatus) DeepCopyInto(out *CoordinatorStatus) {
	*out = *in
	out.OverlayPodCIDR = slices.Clone(in.OverlayPodCIDR)
	out.ServiceCIDR = slices.Clone(in.ServiceCIDR)
}
