package v1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VolumeSnapshot is a user's request for a snapshot of a volume, or for one that
// is there already.
type VolumeSnapshot struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for.
	Spec VolumeSnapshotSpec `json:"spec"`
	// Status is what became of it. Use it only when the VolumeSnapshot and its
	// VolumeSnapshotContent name each other.
	// +optional
	Status *VolumeSnapshotStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VolumeSnapshotList is a list of snapshots.
type VolumeSnapshotList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the snapshots.
	Items []VolumeSnapshot `json:"items"`
}

// VolumeSnapshotSpec is what the user asks for.
type VolumeSnapshotSpec struct {
	// Source is where the snapshot comes from. It cannot change.
	Source VolumeSnapshotSource `json:"source"`
	// VolumeSnapshotClassName is the class; unset, the default class of the
	// driver of the claim's volume.
	// +optional
	VolumeSnapshotClassName *string `json:"volumeSnapshotClassName,omitempty"`
}

// VolumeSnapshotSource is a claim, or a content that exists. Exactly one is set.
type VolumeSnapshotSource struct {
	// PersistentVolumeClaimName is the claim, in the same namespace, whose volume
	// a snapshot is taken of.
	// +optional
	PersistentVolumeClaimName *string `json:"persistentVolumeClaimName,omitempty"`
	// VolumeSnapshotContentName is the content of a snapshot that exists.
	// +optional
	VolumeSnapshotContentName *string `json:"volumeSnapshotContentName,omitempty"`
}

// VolumeSnapshotStatus is what became of a snapshot.
type VolumeSnapshotStatus struct {
	// BoundVolumeSnapshotContentName is the content that this snapshot is bound to.
	// +optional
	BoundVolumeSnapshotContentName *string `json:"boundVolumeSnapshotContentName,omitempty"`
	// CreationTime is when the snapshot was taken.
	// +optional
	CreationTime *metav1.Time `json:"creationTime,omitempty"`
	// ReadyToUse says that a volume can be made from it.
	// +optional
	ReadyToUse *bool `json:"readyToUse,omitempty"`
	// RestoreSize is the smallest size that such a volume may have.
	// +optional
	RestoreSize *resource.Quantity `json:"restoreSize,omitempty"`
	// Error is what went wrong last.
	// +optional
	Error *VolumeSnapshotError `json:"error,omitempty"`
	// VolumeGroupSnapshotName is the group snapshot that this one is part of.
	// +optional
	VolumeGroupSnapshotName *string `json:"volumeGroupSnapshotName,omitempty"`
}

// VolumeSnapshotError is what went wrong, and when.
type VolumeSnapshotError struct {
	// Time is when it went wrong.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// Message says what.
	// +optional
	Message *string `json:"message,omitempty"`
}
