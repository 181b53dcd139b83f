package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpiderCoordinator says how pods with an interface of their own in the
// machine's network reach the cluster. The one named "default" counts.
type SpiderCoordinator struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	// +optional
	Spec CoordinatorSpec `json:"spec,omitempty"`
	// Status is what the cluster's ranges are.
	// +optional
	Status CoordinatorStatus `json:"status,omitempty"`
}

// CoordinatorSpec says how an interface is joined to the cluster.
type CoordinatorSpec struct {
	// Mode is auto, underlay, overlay or disabled.
	// +optional
	Mode *string `json:"mode,omitempty"`
	// PodCIDRType says where the pods' ranges are found: auto, cluster, calico, cilium or none.
	// +optional
	PodCIDRType *string `json:"podCIDRType,omitempty"`
	// HijackCIDR are further destinations that pods reach by their node.
	// +optional
	// +listType=atomic
	HijackCIDR []string `json:"hijackCIDR,omitempty"`
	// PolicyRoutes are destinations that are looked up in the table of an interface.
	// +optional
	// +listType=atomic
	PolicyRoutes []string `json:"policyRoutes,omitempty"`
	// PodMACPrefix is the first two bytes of the hardware address; the rest is the IP address.
	// +optional
	PodMACPrefix *string `json:"podMACPrefix,omitempty"`
	// TunePodRoutes sets routes so that answers leave by the interface that the question came by.
	// +optional
	TunePodRoutes *bool `json:"tunePodRoutes,omitempty"`
	// PodDefaultRouteNIC is the interface with the default route; unset, it is eth0.
	// +optional
	PodDefaultRouteNIC *string `json:"podDefaultRouteNIC,omitempty"`
	// HostRuleTable is the number of the node's routing table to its pods.
	// +optional
	HostRuleTable *int `json:"hostRuleTable,omitempty"`
	// PodRPFilter is the rp_filter setting in the pod; negative leaves it as it is.
	// +optional
	PodRPFilter *int `json:"podRPFilter,omitempty"`
	// TxQueueLen is the queue length of the pod's interfaces; 0 leaves it as it is.
	// +optional
	TxQueueLen *int `json:"txQueueLen,omitempty"`
	// VethLinkAddress is the link-local address of the wire to the node.
	// +optional
	VethLinkAddress *string `json:"vethLinkAddress,omitempty"`
	// DetectIPConflict has a pod wait until nobody else on its segment has its
	// addresses; unset, it does.
	// +optional
	DetectIPConflict *bool `json:"detectIPConflict,omitempty"`
	// DetectGateway has a pod wait until its gateways answer; unset, it does not.
	// +optional
	DetectGateway *bool `json:"detectGateway,omitempty"`
	// VethMTU is the MTU of the wire to the node.
	// +optional
	VethMTU *int `json:"vethMTU,omitempty"`
}

// CoordinatorStatus is what was found out about the cluster.
type CoordinatorStatus struct {
	// Phase is Synced or NotReady.
	Phase string `json:"phase"`
	// Reason says why not.
	// +optional
	Reason string `json:"reason,omitempty"`
	// OverlayPodCIDR are the pods' ranges.
	// +optional
	// +listType=atomic
	OverlayPodCIDR []string `json:"overlayPodCIDR"`
	// ServiceCIDR are the services' ranges.
	// +optional
	// +listType=atomic
	ServiceCIDR []string `json:"serviceCIDR"`
}

// SpiderCoordinatorList is a list of coordinators.
type SpiderCoordinatorList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SpiderCoordinator `json:"items"`
}
