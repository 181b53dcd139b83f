package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpiderMultusConfig describes a network that pods can have an interface in;
// it is kept as a NetworkAttachmentDefinition of the same name.
type SpiderMultusConfig struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec describes the network.
	// +optional
	Spec MultusCNIConfigSpec `json:"spec,omitempty"`
}

// MultusCNIConfigSpec describes a network; the block of its cniType is set.
type MultusCNIConfigSpec struct {
	// CniType is macvlan, ipvlan, vlan, sriov, ovs, ib-sriov, ipoib or custom.
	// +optional
	CniType *string `json:"cniType,omitempty"`
	// MacvlanConfig is for cniType macvlan.
	// +optional
	MacvlanConfig *SpiderMacvlanCniConfig `json:"macvlan,omitempty"`
	// IPVlanConfig is for cniType ipvlan.
	// +optional
	IPVlanConfig *SpiderIPvlanCniConfig `json:"ipvlan,omitempty"`
	// VlanConfig is for cniType vlan.
	// +optional
	VlanConfig *SpiderVlanCniConfig `json:"vlan,omitempty"`
	// SriovConfig is for cniType sriov.
	// +optional
	SriovConfig *SpiderSRIOVCniConfig `json:"sriov,omitempty"`
	// OvsConfig is for cniType ovs.
	// +optional
	OvsConfig *SpiderOvsCniConfig `json:"ovs,omitempty"`
	// IbSriovConfig is for cniType ib-sriov.
	// +optional
	IbSriovConfig *SpiderIBSriovCniConfig `json:"ibsriov,omitempty"`
	// IpoibConfig is for cniType ipoib.
	// +optional
	IpoibConfig *SpiderIpoibCniConfig `json:"ipoib,omitempty"`
	// EnableCoordinator lets the pod reach its node and the services; never for custom.
	// +optional
	EnableCoordinator *bool `json:"enableCoordinator,omitempty"`
	// DisableIPAM leaves addresses to somebody else.
	// +optional
	DisableIPAM *bool `json:"disableIPAM,omitempty"`
	// CoordinatorConfig overrides the SpiderCoordinator.
	// +optional
	CoordinatorConfig *CoordinatorSpec `json:"coordinator,omitempty"`
	// CustomCNIConfig is the CNI configuration of cniType custom; it may be empty.
	// +optional
	CustomCNIConfig *string `json:"customCNI,omitempty"`
	// ChainCNIJsonData are configurations of plugins that run after it.
	// +optional
	// +listType=atomic
	ChainCNIJsonData []string `json:"chainCNIJsonData,omitempty"`
}

// SpiderMacvlanCniConfig describes a macvlan network.
type SpiderMacvlanCniConfig struct {
	// Master is the node's interface; several are bonded.
	// +listType=atomic
	Master []string `json:"master"`
	// VlanID makes it a VLAN of the master's, 0 to 4094.
	// +optional
	VlanID *int32 `json:"vlanID,omitempty"`
	// MTU of the interface; 0 is the master's.
	// +optional
	MTU *int32 `json:"mtu,omitempty"`
	// Bond says how several masters are bonded.
	// +optional
	Bond *BondConfig `json:"bond,omitempty"`
	// RdmaResourceName is the resource of a shared RDMA device.
	// +optional
	RdmaResourceName *string `json:"rdmaResourceName,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// SpiderIPvlanCniConfig describes an ipvlan network.
type SpiderIPvlanCniConfig struct {
	// Master is the node's interface; several are bonded.
	// +listType=atomic
	Master []string `json:"master"`
	// VlanID makes it a VLAN of the master's, 0 to 4094.
	// +optional
	VlanID *int32 `json:"vlanID,omitempty"`
	// MTU of the interface; 0 is the master's.
	// +optional
	MTU *int32 `json:"mtu,omitempty"`
	// Bond says how several masters are bonded.
	// +optional
	Bond *BondConfig `json:"bond,omitempty"`
	// RdmaResourceName is the resource of a shared RDMA device.
	// +optional
	RdmaResourceName *string `json:"rdmaResourceName,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// SpiderVlanCniConfig describes a network of VLAN interfaces.
type SpiderVlanCniConfig struct {
	// Master is the node's interface; several are bonded.
	// +listType=atomic
	Master []string `json:"master"`
	// VlanMode is manual (vlanID says which) or auto (by the number in the pool).
	// +optional
	VlanMode *string `json:"vlanMode,omitempty"`
	// VlanID is the VLAN, 0 to 4094.
	// +optional
	VlanID *int32 `json:"vlanID,omitempty"`
	// MTU of the interface; 0 is the master's.
	// +optional
	MTU *int32 `json:"mtu,omitempty"`
	// Bond says how several masters are bonded.
	// +optional
	Bond *BondConfig `json:"bond,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// SpiderSRIOVCniConfig describes a network of virtual functions.
type SpiderSRIOVCniConfig struct {
	// ResourceName is the extended resource of the device plugin.
	ResourceName string `json:"resourceName"`
	// VlanID is the VLAN, 0 to 4094.
	// +optional
	VlanID *int32 `json:"vlanID,omitempty"`
	// MTU of the interface.
	// +optional
	MTU *int32 `json:"mtu,omitempty"`
	// MinTxRateMbps is the least rate, 0 for none.
	// +optional
	MinTxRateMbps *int `json:"minTxRateMbps,omitempty"`
	// MaxTxRateMbps is the highest rate, 0 for none.
	// +optional
	MaxTxRateMbps *int `json:"maxTxRateMbps,omitempty"`
	// RdmaIsolation gives the pod an RDMA device of its own.
	// +optional
	RdmaIsolation *bool `json:"rdmaIsolation,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// SpiderIBSriovCniConfig describes an InfiniBand network of virtual functions.
type SpiderIBSriovCniConfig struct {
	// ResourceName is the extended resource of the device plugin.
	ResourceName string `json:"resourceName"`
	// Pkey is the partition key.
	// +optional
	Pkey *string `json:"pkey,omitempty"`
	// LinkState is auto, enable or disable.
	// +optional
	LinkState *string `json:"linkState,omitempty"`
	// RdmaIsolation gives the pod an RDMA device of its own.
	// +optional
	RdmaIsolation *bool `json:"rdmaIsolation,omitempty"`
	// IbKubernetesEnabled leaves GUIDs to ib-kubernetes.
	// +optional
	IbKubernetesEnabled *bool `json:"enableIbKubernetes,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// SpiderIpoibCniConfig describes an IP over InfiniBand network.
type SpiderIpoibCniConfig struct {
	// Master is the node's interface.
	// +optional
	Master string `json:"master,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// SpiderOvsCniConfig describes a network on an Open vSwitch bridge.
type SpiderOvsCniConfig struct {
	// BrName is the bridge.
	BrName string `json:"bridge"`
	// VlanTag is the VLAN.
	// +optional
	VlanTag *int32 `json:"vlan,omitempty"`
	// Trunk are the VLANs of a trunk port.
	// +optional
	// +listType=atomic
	Trunk []Trunk `json:"trunk,omitempty"`
	// DeviceID is the PCI address of a virtual function.
	// +optional
	DeviceID string `json:"deviceID,omitempty"`
	// SpiderpoolConfigPools are the pools of the network.
	// +optional
	SpiderpoolConfigPools *SpiderpoolPools `json:"ippools,omitempty"`
}

// Trunk is a VLAN or a range of VLANs.
type Trunk struct {
	// MinID begins a range.
	// +optional
	MinID *uint32 `json:"minID,omitempty"`
	// MaxID ends a range.
	// +optional
	MaxID *uint32 `json:"maxID,omitempty"`
	// ID is one VLAN.
	// +optional
	ID *uint32 `json:"id,omitempty"`
}

// BondConfig says how interfaces are bonded.
type BondConfig struct {
	// Name of the bond.
	Name string `json:"name"`
	// Mode is the bonding mode, 0 to 6.
	Mode int32 `json:"mode"`
	// Options are further options of the bond.
	// +optional
	Options *string `json:"options,omitempty"`
}

// SpiderpoolPools are the pools that an interface takes its addresses from.
type SpiderpoolPools struct {
	// IPv4IPPool are pools of IPv4 addresses in the order of use.
	// +optional
	// +listType=atomic
	IPv4IPPool []string `json:"ipv4,omitempty"`
	// IPv6IPPool are pools of IPv6 addresses in the order of use.
	// +optional
	// +listType=atomic
	IPv6IPPool []string `json:"ipv6,omitempty"`
	// MatchMasterSubnet takes only pools in the master's subnet (sriov).
	// +optional
	MatchMasterSubnet *bool `json:"matchMasterSubnet,omitempty"`
}

// SpiderMultusConfigList is a list of networks.
type SpiderMultusConfigList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SpiderMultusConfig `json:"items"`
}
