package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VolumeSnapshotContent is a snapshot as the storage knows it.
type VolumeSnapshotContent struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is asked of the storage.
	Spec VolumeSnapshotContentSpec `json:"spec"`
	// Status is what the storage answered.
	// +optional
	Status *VolumeSnapshotContentStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VolumeSnapshotContentList is a list of contents.
type VolumeSnapshotContentList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the contents.
	Items []VolumeSnapshotContent `json:"items"`
}

// VolumeSnapshotContentSpec is what is asked of the storage.
type VolumeSnapshotContentSpec struct {
	// VolumeSnapshotRef is the snapshot that this content is bound to, or kept for
	// when it has no UID. Name and namespace must be set.
	VolumeSnapshotRef corev1.ObjectReference `json:"volumeSnapshotRef"`
	// DeletionPolicy says whether the snapshot goes from the storage when its
	// VolumeSnapshot is deleted: Delete or Retain.
	DeletionPolicy DeletionPolicy `json:"deletionPolicy"`
	// Driver is who keeps the snapshot, as in the class.
	Driver string `json:"driver"`
	// VolumeSnapshotClassName is the class that it was taken by.
	// +optional
	VolumeSnapshotClassName *string `json:"volumeSnapshotClassName,omitempty"`
	// Source is what the snapshot is taken of, or which it is. It cannot change.
	Source VolumeSnapshotContentSource `json:"source"`
	// SourceVolumeMode is the mode of the volume that it was taken of.
	// +optional
	SourceVolumeMode *corev1.PersistentVolumeMode `json:"sourceVolumeMode,omitempty"`
}

// VolumeSnapshotContentSource is a volume or a snapshot, as the driver names
// them. Exactly one is set.
type VolumeSnapshotContentSource struct {
	// VolumeHandle is the volume that a snapshot is taken of.
	// +optional
	VolumeHandle *string `json:"volumeHandle,omitempty"`
	// SnapshotHandle is a snapshot that exists.
	// +optional
	SnapshotHandle *string `json:"snapshotHandle,omitempty"`
}

// VolumeSnapshotContentStatus is what the storage answered.
type VolumeSnapshotContentStatus struct {
	// SnapshotHandle is the snapshot as the driver names it.
	// +optional
	SnapshotHandle *string `json:"snapshotHandle,omitempty"`
	// CreationTime is when it was taken, in nanoseconds since 1970.
	// +optional
	CreationTime *int64 `json:"creationTime,omitempty"`
	// RestoreSize is the smallest size in bytes of a volume made from it.
	// +optional
	RestoreSize *int64 `json:"restoreSize,omitempty"`
	// ReadyToUse says that a volume can be made from it.
	// +optional
	ReadyToUse *bool `json:"readyToUse,omitempty"`
	// Error is what went wrong last.
	// +optional
	Error *VolumeSnapshotError `json:"error,omitempty"`
	// VolumeGroupSnapshotHandle is the group snapshot that this one is part of.
	// +optional
	VolumeGroupSnapshotHandle *string `json:"volumeGroupSnapshotHandle,omitempty"`
}
