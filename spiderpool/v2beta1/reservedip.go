package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpiderReservedIP keeps addresses out of every pool. What pods hold already
// is not taken from them.
type SpiderReservedIP struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which addresses.
	// +optional
	Spec ReservedIPSpec `json:"spec,omitempty"`
}

// ReservedIPSpec lists the addresses that no pod may be given.
type ReservedIPSpec struct {
	// IPVersion is 4 or 6; unset, it follows from the first address. It cannot change.
	// +optional
	IPVersion *int64 `json:"ipVersion,omitempty"`
	// IPs are addresses ("a") and ranges ("a-b").
	// +optional
	// +listType=atomic
	IPs []string `json:"ips,omitempty"`
}

// SpiderReservedIPList is a list of reserved addresses.
type SpiderReservedIPList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SpiderReservedIP `json:"items"`
}
