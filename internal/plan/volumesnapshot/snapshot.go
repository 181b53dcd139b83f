package volumesnapshot

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Snapshot decides on one VolumeSnapshot.
func Snapshot(s State) Plan {
	if s.Snapshot.DeletionTimestamp != nil {
		return deleted(s)
	}
	finalizers := []string{SourceFinalizer}
	if c := s.Content; c != nil && isFor(c, s.Snapshot) && c.Spec.DeletionPolicy == v1.Delete {
		finalizers = append(finalizers, BoundFinalizer)
	}
	if with := add(s.Snapshot.Finalizers, finalizers...); with != nil {
		snapshot := s.Snapshot.DeepCopy()
		snapshot.Finalizers = with
		return Plan{Snapshot: snapshot}
	}
	switch {
	case Ready(s.Snapshot) && bound(s.Snapshot):
		return settled(s)
	case s.Snapshot.Spec.Source.VolumeSnapshotContentName != nil:
		return existing(s)
	case s.Content != nil:
		return taking(s)
	}
	return begin(s)
}

// settled watches over the binding of a snapshot that is ready.
func settled(s State) Plan {
	switch {
	case s.Content == nil:
		return failed(s, "SnapshotContentMissing", "VolumeSnapshotContent is missing")
	case !isFor(s.Content, s.Snapshot):
		return failed(s, "SnapshotMisbound", "VolumeSnapshotContent is not bound to the VolumeSnapshot correctly")
	}
	return releaseClaim(s)
}

// existing binds a snapshot to a content that somebody made for it.
func existing(s State) Plan {
	if s.Snapshot.Spec.VolumeSnapshotClassName != nil {
		if class, plan := s.class(); class == nil {
			return plan
		}
	}
	c := s.Content
	if c == nil {
		return failed(s, "SnapshotContentMissing", "VolumeSnapshotContent is missing")
	}
	if c.Spec.Source.SnapshotHandle == nil {
		return failed(s, "SnapshotContentMismatch", "VolumeSnapshotContent is dynamically provisioned while expecting a pre-provisioned one")
	}
	ref := c.Spec.VolumeSnapshotRef
	if ref.Namespace != s.Snapshot.Namespace || ref.Name != s.Snapshot.Name || ref.UID != "" && ref.UID != s.Snapshot.UID {
		return failed(s, "SnapshotContentMisbound", "VolumeSnapshotContent ["+c.Name+"] is bound to a different snapshot")
	}
	if class := s.Snapshot.Spec.VolumeSnapshotClassName; ref.UID == "" || class != nil && c.Spec.VolumeSnapshotClassName == nil {
		changed := c.DeepCopy()
		changed.Spec.VolumeSnapshotRef.UID = s.Snapshot.UID
		if class != nil {
			changed.Spec.VolumeSnapshotClassName = ptr.To(*class)
		}
		return Plan{Content: changed}
	}
	return follow(s)
}

// taking follows a snapshot that is being taken.
func taking(s State) Plan {
	switch c := s.Content; {
	case c.Spec.Source.VolumeHandle == nil:
		return failed(s, "SnapshotContentMismatch", "VolumeSnapshotContent "+c.Name+" is pre-provisioned while expecting a dynamically provisioned one")
	case !isFor(c, s.Snapshot):
		return failed(s, "SnapshotContentMisbound", "VolumeSnapshotContent ["+c.Name+"] is bound to a different snapshot")
	}
	return follow(s)
}

// follow tells the user of a snapshot what is known of its content.
func follow(s State) Plan {
	snapshot, is := s.Snapshot.DeepCopy(), s.Content.Status
	if snapshot.Status == nil {
		snapshot.Status = &v1.VolumeSnapshotStatus{}
	}
	if is == nil {
		is = &v1.VolumeSnapshotContentStatus{}
	}
	var plan Plan
	st := snapshot.Status
	if !bound(snapshot) {
		st.BoundVolumeSnapshotContentName = ptr.To(s.Content.Name)
	}
	if st.CreationTime == nil && is.CreationTime != nil {
		st.CreationTime = ptr.To(metav1.Unix(0, *is.CreationTime).Rfc3339Copy())
		plan.say(corev1.EventTypeNormal, "SnapshotCreated", "Snapshot "+key(snapshot)+" was successfully created by the CSI driver.")
	}
	if is.RestoreSize != nil && (st.RestoreSize == nil || st.RestoreSize.IsZero()) {
		st.RestoreSize = resource.NewQuantity(*is.RestoreSize, resource.BinarySI)
	}
	st.Error = is.Error
	if st.ReadyToUse = ptr.To(is.ReadyToUse != nil && *is.ReadyToUse); *st.ReadyToUse {
		st.Error = nil
		plan.say(corev1.EventTypeNormal, "SnapshotReady", "Snapshot "+key(snapshot)+" is ready to use.")
	}
	if equality.Semantic.DeepEqual(snapshot.Status, s.Snapshot.Status) {
		return Plan{}
	}
	plan.Status = snapshot
	return plan
}

// failed writes what went wrong, once.
func failed(s State, reason, message string) Plan {
	if is := s.Snapshot.Status; is != nil && is.Error != nil && is.Error.Message != nil && *is.Error.Message == message {
		return Plan{}
	}
	snapshot := s.Snapshot.DeepCopy()
	if snapshot.Status == nil {
		snapshot.Status = &v1.VolumeSnapshotStatus{}
	}
	snapshot.Status.Error = &v1.VolumeSnapshotError{Time: ptr.To(s.Now), Message: &message}
	snapshot.Status.ReadyToUse = ptr.To(false)
	return Plan{Status: snapshot, Events: []Event{{corev1.EventTypeWarning, reason, message}}}
}

// deleted gives up a snapshot: first what it is bound to, if that is to go with
// it, then the claim it was taken of, then the snapshot.
func deleted(s State) Plan {
	if !slices.Contains(s.Snapshot.Finalizers, SourceFinalizer) && !slices.Contains(s.Snapshot.Finalizers, BoundFinalizer) {
		return Plan{}
	}
	c := s.Content
	if c != nil && !isFor(c, s.Snapshot) {
		c = nil
	}
	goes := c != nil && c.Spec.DeletionPolicy == v1.Delete
	switch {
	case c != nil && s.Restoring:
		return Plan{Events: []Event{{corev1.EventTypeWarning, "SnapshotDeletePending", "Snapshot is being used to restore a PVC"}}}
	case c != nil && !metav1.HasAnnotation(c.ObjectMeta, BeingDeleted):
		changed := c.DeepCopy()
		metav1.SetMetaDataAnnotation(&changed.ObjectMeta, BeingDeleted, "yes")
		return Plan{Content: changed}
	case goes && c.DeletionTimestamp == nil:
		return Plan{Delete: c}
	}
	if plan := releaseClaim(s); plan.Claim != nil {
		return plan
	}
	gone := []string{SourceFinalizer}
	if !goes {
		gone = append(gone, BoundFinalizer)
	}
	rest := slices.DeleteFunc(slices.Clone(s.Snapshot.Finalizers), func(f string) bool { return slices.Contains(gone, f) })
	if len(rest) == len(s.Snapshot.Finalizers) {
		return Plan{}
	}
	snapshot := s.Snapshot.DeepCopy()
	snapshot.Finalizers = rest
	return Plan{Snapshot: snapshot}
}

// releaseClaim lets the source go once nobody takes a snapshot of it any more.
func releaseClaim(s State) Plan {
	if s.Claim == nil || s.ClaimBusy || !slices.Contains(s.Claim.Finalizers, ClaimFinalizer) {
		return Plan{}
	}
	claim := s.Claim.DeepCopy()
	claim.Finalizers = slices.DeleteFunc(claim.Finalizers, func(f string) bool { return f == ClaimFinalizer })
	return Plan{Claim: claim}
}

// add returns the list with what it lacks, nil when it lacks nothing.
func add(list []string, wanted ...string) []string {
	with := slices.Clone(list)
	for _, w := range wanted {
		if !slices.Contains(with, w) {
			with = append(with, w)
		}
	}
	if len(with) == len(list) {
		return nil
	}
	return with
}
