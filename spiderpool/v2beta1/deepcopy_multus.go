package v2beta1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyObject implements runtime.Object.
func (in *SpiderMultusConfig) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (in *SpiderMultusConfigList) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy returns an independent copy.
func (in *SpiderMultusConfig) DeepCopy() *SpiderMultusConfig {
	if in == nil {
		return nil
	}
	out := new(SpiderMultusConfig)
	in.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderMultusConfig) DeepCopyInto(out *SpiderMultusConfig) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
}

// DeepCopy returns an independent copy.
func (in *SpiderMultusConfigList) DeepCopy() *SpiderMultusConfigList {
	if in == nil {
		return nil
	}
	out := &SpiderMultusConfigList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]SpiderMultusConfig, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}

// DeepCopyInto makes out an independent copy of in.
func (in *MultusCNIConfigSpec) DeepCopyInto(out *MultusCNIConfigSpec) {
	*out = *in
	out.CniType = copied(in.CniType)
	out.EnableCoordinator = copied(in.EnableCoordinator)
	out.DisableIPAM = copied(in.DisableIPAM)
	out.CustomCNIConfig = copied(in.CustomCNIConfig)
	out.ChainCNIJsonData = slices.Clone(in.ChainCNIJsonData)
	out.MacvlanConfig = cloned(in.MacvlanConfig)
	out.IPVlanConfig = cloned(in.IPVlanConfig)
	out.VlanConfig = cloned(in.VlanConfig)
	out.SriovConfig = cloned(in.SriovConfig)
	out.OvsConfig = cloned(in.OvsConfig)
	out.IbSriovConfig = cloned(in.IbSriovConfig)
	out.IpoibConfig = cloned(in.IpoibConfig)
	out.CoordinatorConfig = cloned(in.CoordinatorConfig)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderMacvlanCniConfig) DeepCopyInto(out *SpiderMacvlanCniConfig) {
	*out = *in
	out.VlanID = copied(in.VlanID)
	out.MTU = copied(in.MTU)
	out.RdmaResourceName = copied(in.RdmaResourceName)
	out.Master = slices.Clone(in.Master)
	out.Bond = cloned(in.Bond)
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderIPvlanCniConfig) DeepCopyInto(out *SpiderIPvlanCniConfig) {
	*out = *in
	out.VlanID = copied(in.VlanID)
	out.MTU = copied(in.MTU)
	out.RdmaResourceName = copied(in.RdmaResourceName)
	out.Master = slices.Clone(in.Master)
	out.Bond = cloned(in.Bond)
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderVlanCniConfig) DeepCopyInto(out *SpiderVlanCniConfig) {
	*out = *in
	out.VlanMode = copied(in.VlanMode)
	out.VlanID = copied(in.VlanID)
	out.MTU = copied(in.MTU)
	out.Master = slices.Clone(in.Master)
	out.Bond = cloned(in.Bond)
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderSRIOVCniConfig) DeepCopyInto(out *SpiderSRIOVCniConfig) {
	*out = *in
	out.VlanID = copied(in.VlanID)
	out.MTU = copied(in.MTU)
	out.MinTxRateMbps = copied(in.MinTxRateMbps)
	out.MaxTxRateMbps = copied(in.MaxTxRateMbps)
	out.RdmaIsolation = copied(in.RdmaIsolation)
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderIBSriovCniConfig) DeepCopyInto(out *SpiderIBSriovCniConfig) {
	*out = *in
	out.Pkey = copied(in.Pkey)
	out.LinkState = copied(in.LinkState)
	out.RdmaIsolation = copied(in.RdmaIsolation)
	out.IbKubernetesEnabled = copied(in.IbKubernetesEnabled)
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderIpoibCniConfig) DeepCopyInto(out *SpiderIpoibCniConfig) {
	*out = *in
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderOvsCniConfig) DeepCopyInto(out *SpiderOvsCniConfig) {
	*out = *in
	out.VlanTag = copied(in.VlanTag)
	out.Trunk = slices.Clone(in.Trunk)
	out.SpiderpoolConfigPools = cloned(in.SpiderpoolConfigPools)
	for i := range out.Trunk {
		t := &out.Trunk[i]
		t.MinID, t.MaxID, t.ID = copied(t.MinID), copied(t.MaxID), copied(t.ID)
	}
}

// DeepCopyInto makes out an independent copy of in.
func (in *BondConfig) DeepCopyInto(out *BondConfig) {
	*out = *in
	out.Options = copied(in.Options)
}

// DeepCopyInto makes out an independent copy of in.
func (in *SpiderpoolPools) DeepCopyInto(out *SpiderpoolPools) {
	*out = *in
	out.MatchMasterSubnet = copied(in.MatchMasterSubnet)
	out.IPv4IPPool = slices.Clone(in.IPv4IPPool)
	out.IPv6IPPool = slices.Clone(in.IPv6IPPool)
}

// cloned copies what a pointer leads to.
func cloned[T any, P interface {
	*T
	DeepCopyInto(out *T)
}](in P) P {
	if in == nil {
		return nil
	}
	out := new(T)
	in.DeepCopyInto(out)
	return out
}
