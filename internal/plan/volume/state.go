package volume

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// LocalProvisioner is the name that storage classes use to ask for a
// directory on the node of the pod.
const LocalProvisioner = "berth.dev/local"

// LocalPrefix begins the names of volumes that a built-in provisioner made.
const LocalPrefix = "pvc-"

// LocalFinalizer keeps a provisioned volume until its node has removed the directory.
const LocalFinalizer = "berth.dev/local-volume"

// LocalBlocks is the file in the folder of a block volume that has its blocks.
const LocalBlocks = "blocks"

// VolumesDirAnnotation on a Node is the directory for local volumes there.
const VolumesDirAnnotation = "berth.dev/volumes-dir"

// Finalizers that protect what is in use.
const (
	ClaimProtection  = "kubernetes.io/pvc-protection"
	VolumeProtection = "kubernetes.io/pv-protection"
)

const (
	annProvisioner     = "volume.kubernetes.io/storage-provisioner"
	annBetaProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
)

// ClaimState is what a decision about a claim looks at.
type ClaimState struct {
	Claim *corev1.PersistentVolumeClaim
	// Volumes are those that no claim has, and those that name this one.
	Volumes []*corev1.PersistentVolume
	// Class is the claim's class, nil when it names none or there is none.
	Class *storagev1.StorageClass
	// Default is the cluster's default class, if any.
	Default *storagev1.StorageClass
	// Pods are the names of the pods without a node that use the claim, sorted.
	Pods []string
}

// Event tells the user something about the object that was decided on.
type Event struct {
	Type, Reason, Message string
}

// ClaimPlan is what has to be written; nil means that nothing changes.
type ClaimPlan struct {
	// Volume is the volume with its new spec, written first.
	Volume *corev1.PersistentVolume
	// Claim is the claim with its new spec and annotations, written second.
	Claim *corev1.PersistentVolumeClaim
	// Status is the claim's new status, written last.
	Status *corev1.PersistentVolumeClaimStatus
	Events []Event
}

// VolumeState is what a decision about a volume looks at.
type VolumeState struct {
	Volume *corev1.PersistentVolume
	// Claim is the claim with the name in spec.claimRef, nil when there is none.
	Claim *corev1.PersistentVolumeClaim
}

// VolumePlan is what has to be written; nil means that nothing changes.
type VolumePlan struct {
	Volume *corev1.PersistentVolume
	Status *corev1.PersistentVolumeStatus
	// Delete the volume: its claim is gone and our own provisioner made it.
	Delete bool
	Events []Event
	// ClaimEvents are about the claim.
	ClaimEvents []Event
}
