package volume

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// ProvisionState is what the local provisioner looks at.
type ProvisionState struct {
	Claim *corev1.PersistentVolumeClaim
	Class *storagev1.StorageClass
	// Nodes are all nodes, or the one that the claim names.
	Nodes []*corev1.Node
	// Exists says that the claim's volume has been made.
	Exists bool
	// Source is what the claim begins with, if it names a claim.
	Source Source
	// Taken is what the claim begins with, if it names a snapshot.
	Taken Taken
}

// ProvisionPlan is what the provisioner does next; all nil means rest.
type ProvisionPlan struct {
	// Volume is to be created.
	Volume *corev1.PersistentVolume
	// Claim is written to make the scheduler choose another node.
	Claim *corev1.PersistentVolumeClaim
	// Hold is what provisioning waits for, in a sentence; empty when nothing is asked for.
	Hold   string
	Events []Event
}

// LocalName is the name of the volume made for a claim.
func LocalName(claim *corev1.PersistentVolumeClaim) string {
	return LocalPrefix + string(claim.UID)
}

// Provision decides on one claim whose class names the local provisioner.
func Provision(s ProvisionState) ProvisionPlan {
	if s.Class == nil || s.Class.Provisioner != LocalProvisioner || s.Exists ||
		s.Claim.Spec.VolumeName != "" || s.Claim.DeletionTimestamp != nil {
		return ProvisionPlan{}
	}
	if name, ok := SourceClaim(s.Claim); ok && s.Claim.Spec.Selector == nil {
		return clone(s, name)
	}
	if name, ok := SourceSnapshot(s.Claim); ok && s.Claim.Spec.Selector == nil {
		return restore(s, name)
	}
	delayed := s.Class.VolumeBindingMode != nil && *s.Class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	selected := s.Claim.Annotations[volume.AnnSelectedNode]
	if selected == "" && delayed {
		return ProvisionPlan{Hold: "waiting for the scheduler to choose a node"}
	}
	if why := refusal(s, LocalProvisioner); why != "" {
		return s.failed(why)
	}
	node := s.node(selected)
	switch {
	case node == nil && selected == "":
		return ProvisionPlan{Hold: "waiting for a node that has room for volumes (annotation " + VolumesDirAnnotation + ")"}
	case node == nil:
		claim := s.Claim.DeepCopy()
		delete(claim.Annotations, volume.AnnSelectedNode)
		plan := s.failed(fmt.Sprintf("node %q does not exist any more", selected))
		plan.Claim = claim
		return plan
	}
	if node.Annotations[VolumesDirAnnotation] == "" || node.Labels[corev1.LabelHostname] == "" {
		return ProvisionPlan{Hold: fmt.Sprintf("waiting for node %q to say where its volumes are (annotation %s, label %s)",
			node.Name, VolumesDirAnnotation, corev1.LabelHostname)}
	}
	pv := localVolume(s, node)
	return ProvisionPlan{Volume: pv, Events: []Event{{
		corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume " + pv.Name,
	}}}
}

// node is the selected node; when the class binds at once and nobody selects,
// the first by name that is open to pods.
func (s ProvisionState) node(selected string) *corev1.Node {
	var first *corev1.Node
	for _, n := range s.Nodes {
		if selected != "" {
			if n.Name == selected {
				return n
			}
			continue
		}
		if n.Annotations[VolumesDirAnnotation] == "" || n.Spec.Unschedulable {
			continue
		}
		if first == nil || n.Name < first.Name {
			first = n
		}
	}
	return first
}

// refusal is why a volume cannot be what the claim asks for.
func refusal(s ProvisionState, provisioner string) string {
	if s.Claim.Spec.Selector != nil {
		return "claim.Spec.Selector is not supported by provisioner " + provisioner
	}
	if s.Claim.Spec.DataSource != nil || s.Claim.Spec.DataSourceRef != nil {
		return "claim.Spec.DataSource is not supported by provisioner " + provisioner
	}
	return ""
}

func (s ProvisionState) failed(why string) ProvisionPlan {
	return ProvisionPlan{Hold: why, Events: []Event{{
		corev1.EventTypeWarning, "ProvisioningFailed", fmt.Sprintf("failed to provision volume with StorageClass %q: %s", s.Class.Name, why),
	}}}
}

func localVolume(s ProvisionState, node *corev1.Node) *corev1.PersistentVolume {
	pv := newVolume(s, LocalProvisioner, LocalFinalizer)
	term := corev1.NodeSelectorRequirement{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node.Labels[corev1.LabelHostname]}}
	pv.Spec.Local = &corev1.LocalVolumeSource{Path: path.Join(node.Annotations[VolumesDirAnnotation], pv.Name)}
	pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{term}}},
	}}
	return pv
}

// newVolume is what a claim asks for, wherever it will be.
func newVolume(s ProvisionState, provisioner, finalizer string) *corev1.PersistentVolume {
	mode := modeOf(s.Claim.Spec.VolumeMode)
	policy := corev1.PersistentVolumeReclaimDelete
	if s.Class.ReclaimPolicy != nil {
		policy = *s.Class.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        LocalName(s.Claim),
			Annotations: map[string]string{volume.AnnDynamicallyProvisioned: provisioner, LocalBegin: LocalBeginEmpty},
			Finalizers:  []string{VolumeProtection, finalizer},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: s.Claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   s.Claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              s.Class.Name,
			MountOptions:                  s.Class.MountOptions,
			VolumeMode:                    &mode,
			ClaimRef:                      Reference(s.Claim),
		},
	}
}
