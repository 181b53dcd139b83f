package admission

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"

	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// localSnapshot lets a node write what became of the snapshots that are to be on
// it, and let go of deleted ones, and change nothing else of them.
func (p *nodeRestriction) localSnapshot(r nodeRequest) error {
	changed, ok1 := r.GetObject().(*snapshotv1.VolumeSnapshotContent)
	old, ok2 := r.GetOldObject().(*snapshotv1.VolumeSnapshotContent)
	if r.GetOperation() != admission.Update || !ok1 || !ok2 {
		return r.refuse("may only report snapshots of local volumes, and let go of deleted ones")
	}
	node, err := p.nodes.Get(r.node)
	if err != nil {
		return r.refuse("node %q is not known", r.node)
	}
	host := node.Labels[corev1.LabelHostname]
	step, folder, _ := volumesnapshot.Local(old, host)
	if host != r.node || step == volumesnapshot.Rest {
		return r.refuse("may only work on snapshots of local volumes of node %q", r.node)
	}
	if r.GetSubresource() == "status" {
		if s := changed.Status; s != nil && s.SnapshotHandle != nil && *s.SnapshotHandle != volumesnapshot.Handle(host, folder) {
			return r.refuse("may only report the snapshot that it was asked for")
		}
		return nil
	}
	want := volumesnapshot.LetGo(old)
	want.ManagedFields, want.ResourceVersion = changed.ManagedFields, changed.ResourceVersion
	if step != volumesnapshot.Remove && step != volumesnapshot.Keep || !equality.Semantic.DeepEqual(want, changed) {
		return r.refuse("may only take the finalizer %s from a deleted content", volumesnapshot.ContentFinalizer)
	}
	return nil
}
