package v2beta1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyObject implements runtime.Object.
func (in *SpiderIPPool) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderIPPoolList) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderEndpoint) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderEndpointList) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy returns an independent copy.
func (in *SpiderIPPool) DeepCopy() *SpiderIPPool {
	if in == nil {
		return nil
	}
	out := new(SpiderIPPool)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderIPPool) DeepCopyInto(out *SpiderIPPool) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
	in.Status.DeepCopyInto(&out.Status)
}

// DeepCopyInto makes out an independent copy of in.
func (in *IPPoolSpec) DeepCopyInto(out *IPPoolSpec) {
	*out = *in
	out.IPVersion = copied(in.IPVersion)
	out.IPs = slices.Clone(in.IPs)
	out.ExcludeIPs = slices.Clone(in.ExcludeIPs)
	out.Gateway = copied(in.Gateway)
	out.Routes = slices.Clone(in.Routes)
	out.PodAffinity = in.PodAffinity.DeepCopy()
	out.NamespaceName = slices.Clone(in.NamespaceName)
	out.NamespaceAffinity = in.NamespaceAffinity.DeepCopy()
	out.NodeName = slices.Clone(in.NodeName)
	out.NodeAffinity = in.NodeAffinity.DeepCopy()
	out.MultusName = slices.Clone(in.MultusName)
	out.Default = copied(in.Default)
	out.Disable = copied(in.Disable)
}

// DeepCopyInto makes out an independent copy of in.
func (in *IPPoolStatus) DeepCopyInto(out *IPPoolStatus) {
	out.AllocatedIPs = copied(in.AllocatedIPs)
	out.TotalIPCount = copied(in.TotalIPCount)
	out.AllocatedIPCount = copied(in.AllocatedIPCount)
}

// DeepCopy returns an independent copy.
func (in *SpiderIPPoolList) DeepCopy() *SpiderIPPoolList {
	if in == nil {
		return nil
	}
	out := &SpiderIPPoolList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]SpiderIPPool, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}

// DeepCopy returns an independent copy.
func (in *SpiderEndpoint) DeepCopy() *SpiderEndpoint {
	if in == nil {
		return nil
	}
	out := new(SpiderEndpoint)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderEndpoint) DeepCopyInto(out *SpiderEndpoint) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Status.DeepCopyInto(&out.Status)
}

// DeepCopyInto makes out an independent copy of in.
func (in *WorkloadEndpointStatus) DeepCopyInto(out *WorkloadEndpointStatus) {
	*out = *in
	in.Current.DeepCopyInto(&out.Current)
}

// DeepCopyInto makes out an independent copy of in.
func (in *PodIPAllocation) DeepCopyInto(out *PodIPAllocation) {
	*out = *in
	if in.IPs != nil {
		out.IPs = make([]IPAllocationDetail, len(in.IPs))
		for i := range in.IPs {
			in.IPs[i].DeepCopyInto(&out.IPs[i])
		}
	}
}

// DeepCopyInto makes out an independent copy of in.
func (in *IPAllocationDetail) DeepCopyInto(out *IPAllocationDetail) {
	*out = *in
	out.Vlan = copied(in.Vlan)
	out.CleanGateway = copied(in.CleanGateway)
	out.Routes = slices.Clone(in.Routes)
}

// DeepCopy returns an independent copy.
func (in *SpiderEndpointList) DeepCopy() *SpiderEndpointList {
	if in == nil {
		return nil
	}
	out := &SpiderEndpointList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]SpiderEndpoint, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

var (
	_ metav1.Object = (*SpiderIPPool)(nil)
	_ metav1.Object = (*SpiderEndpoint)(nil)
)
