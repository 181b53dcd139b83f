package volume

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// allowModeChange on a content lets a volume of the other mode be made from it.
const allowModeChange = "snapshot.storage.kubernetes.io/allow-volume-mode-change"

// Taken is a snapshot that a claim begins with, as far as there is one.
type Taken struct {
	Snapshot *snapshotv1.VolumeSnapshot
	// Content is what Snapshot is bound to.
	Content *snapshotv1.VolumeSnapshotContent
	// Host and Folder are where it is.
	Host, Folder string
}

// SourceSnapshot is the name of the snapshot whose content a claim begins with.
func SourceSnapshot(claim *corev1.PersistentVolumeClaim) (name string, ok bool) {
	source := claim.Spec.DataSource
	if source == nil || source.Kind != "VolumeSnapshot" || source.APIGroup == nil || *source.APIGroup != snapshotv1.GroupName {
		return "", false
	}
	return source.Name, true
}

// BeginsAsCopy tells whether a claim's content comes from elsewhere.
func BeginsAsCopy(claim *corev1.PersistentVolumeClaim) bool {
	_, claims := SourceClaim(claim)
	_, snapshots := SourceSnapshot(claim)
	return claims || snapshots
}

// restore makes a volume on the node that has the snapshot.
func restore(s ProvisionState, name string) ProvisionPlan {
	if why := unrestorable(s, name); why != "" {
		return s.failed(fmt.Sprintf("error getting handle for DataSource Type VolumeSnapshot by Name %s: %s", name, why))
	}
	node := s.onHost([]string{s.Taken.Host})
	if node == nil {
		return ProvisionPlan{Hold: fmt.Sprintf("waiting for the node of snapshot %s", name)}
	}
	return s.copied(node, s.Taken.Folder)
}

// unrestorable is why no volume can be made from a snapshot, in the words of
// upstream's provisioner.
func unrestorable(s ProvisionState, name string) string {
	snapshot, content := s.Taken.Snapshot, s.Taken.Content
	notBound := fmt.Sprintf("snapshot %s not bound", name)
	switch {
	case snapshot == nil:
		return fmt.Sprintf("error getting snapshot %s from api server: volumesnapshots.snapshot.storage.k8s.io %q not found", name, name)
	case snapshot.DeletionTimestamp != nil && !s.wasPending():
		return fmt.Sprintf("snapshot %s is being deleted", name)
	case snapshot.Status == nil || snapshot.Status.BoundVolumeSnapshotContentName == nil, content == nil,
		content.Spec.VolumeSnapshotRef.UID != snapshot.UID, content.Spec.Driver != LocalProvisioner:
		return notBound
	case snapshot.Status.ReadyToUse == nil || !*snapshot.Status.ReadyToUse:
		return fmt.Sprintf("snapshot %s is not Ready", name)
	case s.Taken.Folder == "":
		return fmt.Sprintf("snapshot handle %s is not available", name)
	}
	wants := s.Claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if has := snapshot.Status.RestoreSize; has != nil && wants.Cmp(*has) < 0 {
		return fmt.Sprintf("requested volume size %d is less than the size %d for the source snapshot %s", wants.Value(), has.Value(), name)
	}
	if was := content.Spec.SourceVolumeMode; was != nil && modeOf(was) != modeOf(s.Claim.Spec.VolumeMode) {
		// Upstream lets an annotation allow it. A folder is no device here, whatever it says.
		return fmt.Sprintf("requested volume %s/%s modifies the mode of the source volume but does not have permission to do so. %s annotation is not present on snapshotcontent %s",
			s.Claim.Namespace, s.Claim.Name, allowModeChange, content.Name)
	}
	return ""
}

// wasPending tells whether the claim asked before the snapshot was deleted, which
// waits for it then.
func (s ProvisionState) wasPending() bool {
	return s.Claim.CreationTimestamp.Before(s.Taken.Snapshot.DeletionTimestamp)
}
