package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// A node says what became of the snapshots that it was asked for, and lets go of
// the deleted ones among them.
func TestNodeRestrictionOfSnapshots(t *testing.T) {
	s := newSetup(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "n1"}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "liar", Labels: map[string]string{corev1.LabelHostname: "n1"}}})
	content := func(host string, changes ...func(*snapshotv1.VolumeSnapshotContent)) *snapshotv1.VolumeSnapshotContent {
		c := &snapshotv1.VolumeSnapshotContent{
			ObjectMeta: metav1.ObjectMeta{Name: "c", Finalizers: []string{volumesnapshot.ContentFinalizer, "other"}},
			Spec: snapshotv1.VolumeSnapshotContentSpec{
				Driver: volume.LocalProvisioner, DeletionPolicy: snapshotv1.Delete, VolumeSnapshotRef: corev1.ObjectReference{Namespace: "ns", Name: "s", UID: "u"},
				Source: snapshotv1.VolumeSnapshotContentSource{VolumeHandle: ptr.To(host + "/pvc-1")},
			},
		}
		for _, f := range changes {
			f(c)
		}
		return c
	}
	taken := func(handle string) func(*snapshotv1.VolumeSnapshotContent) {
		return func(c *snapshotv1.VolumeSnapshotContent) {
			c.Status = &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: &handle, ReadyToUse: ptr.To(true)}
		}
	}
	gone := func(c *snapshotv1.VolumeSnapshotContent) {
		c.DeletionTimestamp, c.Annotations = ptr.To(metav1.Unix(1, 0)), map[string]string{volumesnapshot.BeingDeleted: "yes"}
	}
	byHand := func(c *snapshotv1.VolumeSnapshotContent) { c.DeletionTimestamp = ptr.To(metav1.Unix(1, 0)) }
	free := func(c *snapshotv1.VolumeSnapshotContent) { c.Finalizers = []string{"other"} }
	more := func(c *snapshotv1.VolumeSnapshotContent) { c.Spec.DeletionPolicy = snapshotv1.Retain }
	const whole = snapshotv1.GroupName + "/volumesnapshotcontents/"
	const status = whole + "status"
	const last = "may only take the finalizer snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection from a deleted content"
	for name, c := range map[string]struct {
		resource string
		r        request
		refusal  string
	}{
		"taken":              {status, request{obj: content("n1", taken("n1/snapshot-u")), old: content("n1")}, ""},
		"another's folder":   {status, request{obj: content("n1", taken("n1/snapshot-x")), old: content("n1")}, "may only report the snapshot that it was asked for"},
		"another's":          {status, request{obj: content("n2", taken("n2/snapshot-u")), old: content("n2")}, `may only work on snapshots of local volumes of node "n1"`},
		"a liar":             {status, request{user: "system:node:liar", obj: content("n1", taken("n1/snapshot-u")), old: content("n1")}, `may only work on snapshots of local volumes of node "liar"`},
		"taken twice":        {status, request{obj: content("n1"), old: content("n1", taken("n1/snapshot-u"))}, `may only work on snapshots of local volumes of node "n1"`},
		"let go of":          {whole, request{obj: content("n1", gone, free), old: content("n1", gone)}, ""},
		"and more":           {whole, request{obj: content("n1", gone, free, more), old: content("n1", gone)}, last},
		"not deleted":        {whole, request{obj: content("n1", free), old: content("n1")}, last},
		"its snapshot stays": {whole, request{obj: content("n1", byHand, free), old: content("n1", byHand)}, last},
		"deleted, yet taken": {status, request{obj: content("n1", byHand, taken("n1/snapshot-u")), old: content("n1", byHand)}, ""},
		"another's, deleted": {whole, request{obj: content("n2", gone, free), old: content("n2", gone)}, `may only work on snapshots of local volumes of node "n1"`},
		"made":               {whole, request{op: admission.Create, obj: content("n1")}, "may only report snapshots of local volumes, and let go of deleted ones"},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.resource, c.r.groups = c.resource, []string{"system:nodes"}
			if c.r.op == "" {
				c.r.op = admission.Update
			}
			if c.r.user == "" {
				c.r.user = "system:node:n1"
			}
			expect(t, s.do(t, c.r), c.refusal)
		})
	}
}
