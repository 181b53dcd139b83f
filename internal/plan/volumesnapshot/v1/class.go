package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DeletionPolicy says what becomes of a snapshot when its VolumeSnapshot goes.
type DeletionPolicy string

// The deletion policies.
const (
	Delete DeletionPolicy = "Delete"
	Retain DeletionPolicy = "Retain"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VolumeSnapshotClass says how snapshots are taken.
type VolumeSnapshotClass struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Driver is who takes the snapshots.
	Driver string `json:"driver"`
	// Parameters are the driver's.
	// +optional
	Parameters map[string]string `json:"parameters,omitempty"`
	// DeletionPolicy is that of the contents made by this class: Delete or Retain.
	DeletionPolicy DeletionPolicy `json:"deletionPolicy"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VolumeSnapshotClassList is a list of classes.
type VolumeSnapshotClassList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the classes.
	Items []VolumeSnapshotClass `json:"items"`
}
