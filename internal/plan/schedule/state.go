package schedule

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// State is all that a decision may look at.
type State struct {
	Pod   *corev1.Pod
	Nodes []Node
	// Claims are the claims of the pod in the order of its volumes.
	Claims []Claim
	// Volumes are all PersistentVolumes of the cluster; they matter only when
	// a claim waits for its first consumer.
	Volumes []*corev1.PersistentVolume
	// Weigh may remember what Weigh says of the pods on the nodes; nil means
	// that nothing is remembered.
	Weigh func(*corev1.Pod) Weight
}

// Node is a node with the pods that are bound to it or assumed on it, without
// those that have finished.
type Node struct {
	Node *corev1.Node
	Pods []*corev1.Pod
}

// Claim is one claim that the pod uses.
type Claim struct {
	// Name is the claim's name, known also when there is no such claim.
	Name string
	// Ephemeral says that the claim belongs to a generic ephemeral volume.
	Ephemeral bool
	// Claim is nil when it does not exist.
	Claim *corev1.PersistentVolumeClaim
	// Volume is the volume the claim names, nil when it names none or it is gone.
	Volume *corev1.PersistentVolume
	// Class is the claim's storage class, nil when it has none or it is gone.
	Class *storagev1.StorageClass
}

// Decision is the outcome for one pod.
type Decision struct {
	// Node is the chosen node; empty when none fits.
	Node string
	// Claims must be settled on Node before the pod may be bound.
	Claims []ClaimStep
	// Message is upstream's sentence when no node fits.
	Message string
	// Refusals say why each node does not fit.
	Refusals []Refusal
}

// ClaimStep is what a claim that waits for its first consumer needs.
type ClaimStep struct {
	Claim *corev1.PersistentVolumeClaim
	// Volume is the existing volume to reserve for the claim; nil means that
	// one must be provisioned on the chosen node.
	Volume *corev1.PersistentVolume
}

// Refusal is why one node was not taken.
type Refusal struct {
	Node    string
	Reasons []string
	// Final says that removing pods from the node would not help.
	Final bool
}
