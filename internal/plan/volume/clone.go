package volume

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// Source is where the content of a claim comes from.
type Source struct {
	// Claim is the claim it names as its source, nil when there is none.
	Claim *corev1.PersistentVolumeClaim
	// Volume is the volume of Claim.
	Volume *corev1.PersistentVolume
}

// SourceClaim is the name of the claim whose content a claim begins with.
func SourceClaim(claim *corev1.PersistentVolumeClaim) (name string, ok bool) {
	source := claim.Spec.DataSource
	if source == nil || source.Kind != "PersistentVolumeClaim" || source.APIGroup != nil && *source.APIGroup != "" {
		return "", false
	}
	return source.Name, true
}

// clone makes a volume on the node of the one that is copied. It waits for no
// pod: where it can be is known.
func clone(s ProvisionState, name string) ProvisionPlan {
	if why := uncloneable(s, name); why != "" {
		return s.failed(fmt.Sprintf("error getting handle for DataSource Type PersistentVolumeClaim by Name %s: %s", name, why))
	}
	node := s.onHost(LocalHosts(s.Source.Volume))
	if node == nil {
		return ProvisionPlan{Hold: fmt.Sprintf("waiting for the node of volume %s, whose copy it is to be", s.Source.Volume.Name)}
	}
	return s.copied(node, s.Source.Volume.Name)
}

// onHost is the node with one of the host names, if it has room for volumes.
func (s ProvisionState) onHost(hosts []string) *corev1.Node {
	for _, n := range s.Nodes {
		if slices.Contains(hosts, n.Labels[corev1.LabelHostname]) && n.Annotations[VolumesDirAnnotation] != "" {
			return n
		}
	}
	return nil
}

// copied is a volume that begins as a copy of a folder beside its own.
func (s ProvisionState) copied(node *corev1.Node, folder string) ProvisionPlan {
	pv := localVolume(s, node)
	pv.Annotations[LocalBegin] = localBeginCopy + folder
	return ProvisionPlan{Volume: pv, Events: []Event{{
		corev1.EventTypeNormal, "Provisioning", fmt.Sprintf("External provisioner is provisioning volume for claim %q", s.Claim.Namespace+"/"+s.Claim.Name),
	}}}
}

// uncloneable is why a claim cannot be copied, in the words of upstream's
// provisioner.
func uncloneable(s ProvisionState, name string) string {
	from, pv := s.Source.Claim, s.Source.Volume
	switch {
	case from == nil:
		return fmt.Sprintf("error getting PVC %s (namespace %q) from api server: persistentvolumeclaims %q not found", name, s.Claim.Namespace, name)
	case from.Status.Phase != corev1.ClaimBound:
		return fmt.Sprintf("the PVC DataSource %s must have a status of Bound.  Got %s", name, from.Status.Phase)
	case from.DeletionTimestamp != nil:
		return fmt.Sprintf("the PVC DataSource %s is currently being deleted", name)
	case pv == nil, pv.Annotations[volume.AnnDynamicallyProvisioned] != LocalProvisioner, pv.Spec.Local == nil,
		pv.Spec.ClaimRef == nil, pv.Spec.ClaimRef.UID != from.UID:
		return "claim in dataSource not bound or invalid"
	}
	wants, has := s.Claim.Spec.Resources.Requests[corev1.ResourceStorage], pv.Spec.Capacity[corev1.ResourceStorage]
	if wants.Cmp(has) < 0 {
		return fmt.Sprintf("error, new PVC request must be greater than or equal in size to the specified PVC data source, requested %d but source is %d",
			wants.Value(), has.Value())
	}
	if is, was := modeOf(s.Claim.Spec.VolumeMode), modeOf(from.Spec.VolumeMode); is != was {
		return fmt.Sprintf("the source PVC and destination PVCs must have the same volume mode for cloning.  Source is %s, but new PVC requested %s", was, is)
	}
	return ""
}

func modeOf(mode *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
	if mode == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *mode
}
