package volumesnapshot

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	planvolume "berth.dev/berth/internal/plan/volume"
	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Content decides on one VolumeSnapshotContent: it protects what a snapshot is
// bound to, and lets go of what was on a node that is gone. It returns what to
// write, nil for nothing.
func Content(c *v1.VolumeSnapshotContent, hosts []string) *v1.VolumeSnapshotContent {
	switch held := slices.Contains(c.Finalizers, ContentFinalizer); {
	case c.DeletionTimestamp == nil && !held && c.Spec.VolumeSnapshotRef.UID != "":
		changed := c.DeepCopy()
		changed.Finalizers = append(changed.Finalizers, ContentFinalizer)
		return changed
	case held && MayGo(c) && c.Spec.Driver == planvolume.LocalProvisioner:
		if host, _, ok := place(c); !ok || !slices.Contains(hosts, host) {
			return LetGo(c)
		}
	}
	return nil
}

// MayGo tells whether a deleted content has nobody who needs it: one that is bound
// waits for its snapshot to be deleted.
func MayGo(c *v1.VolumeSnapshotContent) bool {
	if c.DeletionTimestamp == nil {
		return false
	}
	return c.Spec.Source.SnapshotHandle != nil && c.Spec.VolumeSnapshotRef.UID == "" || metav1.HasAnnotation(c.ObjectMeta, BeingDeleted)
}

// LetGo is a content without what keeps it.
func LetGo(c *v1.VolumeSnapshotContent) *v1.VolumeSnapshotContent {
	changed := c.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == ContentFinalizer })
	return changed
}
