package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpiderEndpoint records the addresses that the pod of the same namespace and
// name holds. That of a StatefulSet pod outlives the pod, which is how a
// replacement gets its addresses back.
type SpiderEndpoint struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is the grant. It is written through the main resource: the kind
	// has neither spec nor status subresource.
	// +optional
	Status WorkloadEndpointStatus `json:"status,omitempty"`
}

// WorkloadEndpointStatus is the grant of one pod.
type WorkloadEndpointStatus struct {
	// Current is what the pod holds now.
	Current PodIPAllocation `json:"current"`
	// OwnerControllerType is the kind of the pod's top controller.
	OwnerControllerType string `json:"ownerControllerType"`
	// OwnerControllerName is the name of the pod's top controller.
	OwnerControllerName string `json:"ownerControllerName"`
}

// PodIPAllocation is what one incarnation of a pod holds.
type PodIPAllocation struct {
	// UID is the UID of the pod.
	UID string `json:"uid"`
	// Node is the node that the pod runs on.
	Node string `json:"node"`
	// IPs has one element for each interface of the pod.
	// +listType=atomic
	IPs []IPAllocationDetail `json:"ips"`
}

// IPAllocationDetail is what one interface of a pod holds.
type IPAllocationDetail struct {
	// NIC is the name of the interface inside the pod.
	NIC string `json:"interface"`
	// IPv4 is the address with its prefix length.
	// +optional
	IPv4 string `json:"ipv4,omitempty"`
	// IPv6 is the address with its prefix length.
	// +optional
	IPv6 string `json:"ipv6,omitempty"`
	// IPv4Pool is the pool that IPv4 belongs to.
	// +optional
	IPv4Pool string `json:"ipv4Pool,omitempty"`
	// IPv6Pool is the pool that IPv6 belongs to.
	// +optional
	IPv6Pool string `json:"ipv6Pool,omitempty"`
	// Vlan is the VLAN of the interface, 0 to 4094.
	// +optional
	Vlan *int64 `json:"vlan,omitempty"`
	// IPv4Gateway is the next hop of the IPv4 default route.
	// +optional
	IPv4Gateway string `json:"ipv4Gateway,omitempty"`
	// IPv6Gateway is the next hop of the IPv6 default route.
	// +optional
	IPv6Gateway string `json:"ipv6Gateway,omitempty"`
	// CleanGateway leaves out the default route of this interface.
	// +optional
	CleanGateway *bool `json:"cleanGateway,omitempty"`
	// Routes are further routes of the interface.
	// +optional
	// +listType=atomic
	Routes []Route `json:"routes,omitempty"`
	// MAC is the hardware address of the interface.
	// +optional
	MAC string `json:"mac,omitempty"`
}

// SpiderEndpointList is a list of endpoints.
type SpiderEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SpiderEndpoint `json:"items"`
}
