// Package volumesnapshot decides how snapshots of volumes are taken, bound and
// given up, as upstream's snapshot-controller does, and what a node has to do
// for those of the local provisioner.
//
// Each decision is one step: what it writes wakes the same decision again, so a
// crash between two steps is mended by deciding again.
package volumesnapshot

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Upstream's finalizers and annotations.
const (
	SourceFinalizer      = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"
	BoundFinalizer       = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection"
	ContentFinalizer     = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
	ClaimFinalizer       = "snapshot.storage.kubernetes.io/pvc-as-source-protection"
	BeingDeleted         = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
	DefaultClass         = "snapshot.storage.kubernetes.io/is-default-class"
	dynamicContentPrefix = "snapcontent-"
)

// State is what a decision about a snapshot looks at.
type State struct {
	Snapshot *v1.VolumeSnapshot
	// Content is the one that the snapshot names, or that is made for it.
	Content *v1.VolumeSnapshotContent
	// Claim is the source and Volume its volume.
	Claim  *corev1.PersistentVolumeClaim
	Volume *corev1.PersistentVolume
	// Classes are all classes.
	Classes []*v1.VolumeSnapshotClass
	// ClaimBusy says that other snapshots of the claim are being taken.
	ClaimBusy bool
	// Restoring says that a claim waits for its volume to be made of the snapshot.
	Restoring bool
	Now       metav1.Time
}

// Plan is the next step; all nil means rest.
type Plan struct {
	// Snapshot, Claim and Content are to be updated, Status is the snapshot whose
	// status is.
	Snapshot, Status *v1.VolumeSnapshot
	Claim            *corev1.PersistentVolumeClaim
	Content          *v1.VolumeSnapshotContent
	Create, Delete   *v1.VolumeSnapshotContent
	// Events are about the snapshot.
	Events []Event
}

// Event tells the user something.
type Event struct{ Type, Reason, Message string }

func (p *Plan) say(kind, reason, message string) {
	p.Events = append(p.Events, Event{kind, reason, message})
}

// ContentName is the name of the content that a snapshot is bound to, or will be.
func ContentName(s *v1.VolumeSnapshot) string {
	if from := s.Spec.Source.VolumeSnapshotContentName; from != nil {
		return *from
	}
	return dynamicContentPrefix + string(s.UID)
}

// SourceClaim is the name of the claim that a snapshot is taken of, if any.
func SourceClaim(s *v1.VolumeSnapshot) string {
	if name := s.Spec.Source.PersistentVolumeClaimName; name != nil {
		return *name
	}
	return ""
}

// Ready tells whether volumes can be made from a snapshot.
func Ready(s *v1.VolumeSnapshot) bool {
	return s.Status != nil && s.Status.ReadyToUse != nil && *s.Status.ReadyToUse
}

func bound(s *v1.VolumeSnapshot) bool {
	return s.Status != nil && s.Status.BoundVolumeSnapshotContentName != nil && *s.Status.BoundVolumeSnapshotContentName != ""
}

// isFor tells whether a content names a snapshot and no other of that name.
func isFor(c *v1.VolumeSnapshotContent, s *v1.VolumeSnapshot) bool {
	ref := c.Spec.VolumeSnapshotRef
	return ref.Namespace == s.Namespace && ref.Name == s.Name && ref.UID == s.UID
}

func key(s *v1.VolumeSnapshot) string { return s.Namespace + "/" + s.Name }
