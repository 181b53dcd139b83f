package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpiderSubnet is a range that the pools of the same CIDR take their addresses
// and, unless they say otherwise, their gateway and routes from.
type SpiderSubnet struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which addresses the subnet has.
	// +optional
	Spec SubnetSpec `json:"spec,omitempty"`
	// Status says which pools have which of them.
	// +optional
	Status SubnetStatus `json:"status,omitempty"`
}

// SubnetSpec says which addresses a subnet has.
type SubnetSpec struct {
	// IPVersion is 4 or 6; unset, it follows from the subnet. It cannot change.
	// +optional
	IPVersion *int64 `json:"ipVersion,omitempty"`
	// Subnet is the CIDR that all addresses lie in. It cannot change.
	Subnet string `json:"subnet"`
	// IPs are the addresses ("a") and ranges ("a-b") that pools may have.
	// +optional
	// +listType=atomic
	IPs []string `json:"ips,omitempty"`
	// ExcludeIPs are addresses and ranges of IPs that no pool may have.
	// +optional
	// +listType=atomic
	ExcludeIPs []string `json:"excludeIPs,omitempty"`
	// Gateway is the next hop of the default route; it lies in the subnet.
	// +optional
	Gateway *string `json:"gateway,omitempty"`
	// Routes are further routes of the pods.
	// +optional
	// +listType=atomic
	Routes []Route `json:"routes,omitempty"`
}

// SubnetStatus says which pools have which addresses of a subnet.
type SubnetStatus struct {
	// ControlledIPPools is a JSON object from pool to what it has (PoolIPPreAllocation).
	// +optional
	ControlledIPPools *string `json:"controlledIPPools,omitempty"`
	// TotalIPCount is the number of addresses that pools can have.
	// +optional
	TotalIPCount *int64 `json:"totalIPCount,omitempty"`
	// AllocatedIPCount is the number of addresses that pools have.
	// +optional
	AllocatedIPCount *int64 `json:"allocatedIPCount,omitempty"`
}

// PoolIPPreAllocation is what one pool has of a subnet, inside SubnetStatus.ControlledIPPools.
type PoolIPPreAllocation struct {
	// IPs are the addresses and ranges of the pool.
	// +listType=atomic
	IPs []string `json:"ips"`
	// Application is the workload that the pool was made for.
	// +optional
	Application *string `json:"application,omitempty"`
}

// SpiderSubnetList is a list of subnets.
type SpiderSubnetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SpiderSubnet `json:"items"`
}
