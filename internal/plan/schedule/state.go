package schedule

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// State is a cluster described at once, for who decides seldom.
type State struct {
	Ask
	Nodes []Node
	// Namespaces have the labels that affinity terms select by.
	Namespaces []*corev1.Namespace
}

// Node is a node with the pods that are bound to it or assumed on it, without
// those that have finished.
type Node struct {
	Node *corev1.Node
	Pods []*corev1.Pod
}

// Ask is what is asked: a node for this pod.
type Ask struct {
	Pod *corev1.Pod
	// Claims are the claims of the pod in the order of its volumes.
	Claims []Claim
	// Volumes are PersistentVolumes; those matter that no claim has or that are
	// reserved for one of these, when a claim waits for its first consumer.
	Volumes []*corev1.PersistentVolume
	// Storage answers about other pods' volumes; nil means that no node limits them.
	Storage Storage
	// Addresses says whether a pool that the pod may use is for a node; nil means
	// that all are.
	Addresses func(node *corev1.Node) bool
	// Kin selects the pods of the same service or controller. Pods without
	// constraints of their own are spread among them; nil means there are none.
	Kin labels.Selector
	// Budgets are those that are kept, where possible, when pods have to go.
	Budgets []*policyv1.PodDisruptionBudget
	// Profile is how this pod's scheduler scores; zero is upstream's default.
	Profile Profile
}

// Profile is what may differ between scheduler names.
type Profile struct {
	// MostAllocated packs nodes instead of keeping them evenly empty.
	MostAllocated bool
}

// Storage is what is known about volumes beside the pod's own.
type Storage interface {
	// Claim is the claim and, when it has one, its volume and its class.
	Claim(namespace, name string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, *storagev1.StorageClass)
	// Limits are the CSI drivers of a node with what they can attach; nil when unknown.
	Limits(node string) *storagev1.CSINode
	// Attached are the volumes that are attached to a node, each with its driver.
	Attached(node string) map[string]string
	// Driver is a CSI driver's own object, nil when it has none.
	Driver(name string) *storagev1.CSIDriver
	// Capacities say how much storage can still be provisioned where.
	Capacities() []*storagev1.CSIStorageCapacity
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
	// Failed are the filters that refused any node: what Helps asks about.
	Failed Filters
	// Victims must go before the pod fits on Nominated, most important first.
	Victims []*corev1.Pod
	// Nominated is the node that the pod waits for. Empty with an empty Node
	// means that a nomination is to be taken back, unless Waits is set.
	Nominated string
	// Waits says that victims of an earlier decision are still ending.
	Waits bool
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
	Filter  Filters
	Reasons []string
	// Final says that removing pods from the node would not help.
	Final bool
}

// Filters is a set of filters.
type Filters uint16

// The filters in the order in which they look at a node.
const (
	Unschedulable Filters = 1 << iota
	NodeName
	TaintToleration
	NodeAffinity
	NodePorts
	Fit
	VolumeRestrictions
	VolumeLimits
	VolumeBinding
	VolumeZone
	TopologySpread
	InterPodAffinity
	// AddressPools is ours: upstream's come with the network.
	AddressPools
)

// NewCluster is the cluster that a State describes.
func NewCluster(s *State) *Cluster {
	c := Empty()
	for _, ns := range s.Namespaces {
		c.SetNamespace(ns)
	}
	for i := range s.Nodes {
		c.SetNode(s.Nodes[i].Node)
		for _, pod := range s.Nodes[i].Pods {
			c.place(podKey(pod, s.Nodes[i].Node.Name), pod, s.Nodes[i].Node.Name)
		}
	}
	return c
}

// Decide picks a node for the pod of a cluster described at once.
func Decide(s State) Decision {
	return NewCluster(&s).Decide(s.Ask)
}
