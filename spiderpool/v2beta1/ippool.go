package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpiderIPPool is a set of addresses of one subnet that pods may be given.
type SpiderIPPool struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which addresses the pool has and who may take them.
	// +optional
	Spec IPPoolSpec `json:"spec,omitempty"`
	// Status counts the addresses and names their holders.
	// +optional
	Status IPPoolStatus `json:"status,omitempty"`
}

// IPPoolSpec says which addresses a pool has and who may take them.
type IPPoolSpec struct {
	// IPVersion is 4 or 6; unset, it follows from the subnet. It cannot change.
	// +optional
	IPVersion *int64 `json:"ipVersion,omitempty"`
	// Subnet is the CIDR that all addresses of the pool lie in. It cannot change.
	Subnet string `json:"subnet"`
	// IPs are the addresses ("a") and ranges ("a-b") of the pool.
	// +optional
	// +listType=atomic
	IPs []string `json:"ips,omitempty"`
	// ExcludeIPs are addresses and ranges of IPs that are never given away.
	// +optional
	// +listType=atomic
	ExcludeIPs []string `json:"excludeIPs,omitempty"`
	// Gateway is the next hop of the default route; it lies in the subnet.
	// +optional
	Gateway *string `json:"gateway,omitempty"`
	// Routes are further routes of the pods that take an address from here.
	// +optional
	// +listType=atomic
	Routes []Route `json:"routes,omitempty"`
	// PodAffinity selects the pods that may use the pool.
	// +optional
	PodAffinity *metav1.LabelSelector `json:"podAffinity,omitempty"`
	// NamespaceName lists the namespaces that may use the pool; it wins over NamespaceAffinity.
	// +optional
	// +listType=atomic
	NamespaceName []string `json:"namespaceName,omitempty"`
	// NamespaceAffinity selects the namespaces that may use the pool.
	// +optional
	NamespaceAffinity *metav1.LabelSelector `json:"namespaceAffinity,omitempty"`
	// NodeName lists the nodes that may use the pool; it wins over NodeAffinity.
	// +optional
	// +listType=atomic
	NodeName []string `json:"nodeName,omitempty"`
	// NodeAffinity selects the nodes that may use the pool.
	// +optional
	NodeAffinity *metav1.LabelSelector `json:"nodeAffinity,omitempty"`
	// MultusName lists the network attachments ("namespace/name") that may use the pool.
	// +optional
	// +listType=atomic
	MultusName []string `json:"multusName,omitempty"`
	// Default makes the pool one that pods without any wish use.
	// +optional
	Default *bool `json:"default,omitempty"`
	// Disable stops new allocations; releases go on.
	// +optional
	Disable *bool `json:"disable,omitempty"`
}

// IPPoolStatus counts the addresses of a pool and names their holders.
type IPPoolStatus struct {
	// AllocatedIPs is a JSON object from address to its holder (AllocatedIP).
	// +optional
	AllocatedIPs *string `json:"allocatedIPs,omitempty"`
	// TotalIPCount is the number of addresses that the pool can give away.
	// +optional
	TotalIPCount *int64 `json:"totalIPCount,omitempty"`
	// AllocatedIPCount is the number of addresses that are held.
	// +optional
	AllocatedIPCount *int64 `json:"allocatedIPCount,omitempty"`
}

// AllocatedIP names the holder of one address inside IPPoolStatus.AllocatedIPs.
type AllocatedIP struct {
	// NamespacedName is the pod's "namespace/name".
	NamespacedName string `json:"pod"`
	// PodUID is the UID of the pod that holds the address.
	PodUID string `json:"podUid"`
}

// Route is one route of a pod.
type Route struct {
	// Dst is the destination CIDR.
	Dst string `json:"dst"`
	// Gw is the next hop.
	Gw string `json:"gw"`
}

// SpiderIPPoolList is a list of pools.
type SpiderIPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SpiderIPPool `json:"items"`
}
