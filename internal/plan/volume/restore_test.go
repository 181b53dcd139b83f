package volume

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

func TestRestore(t *testing.T) {
	const prefix = "error getting handle for DataSource Type VolumeSnapshot by Name s: "
	block := func(s *ProvisionState) { s.Claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }
	for name, c := range map[string]struct {
		change func(*ProvisionState)
		hold   string
	}{
		"restored": {func(*ProvisionState) {}, ""},
		// It goes where the snapshot is, whatever was chosen.
		"another node chosen": {func(s *ProvisionState) { s.Claim.Annotations = map[string]string{volume.AnnSelectedNode: "n0"} }, ""},
		"larger":              {func(s *ProvisionState) { s.Claim.Spec.Resources.Requests = storage("9Gi") }, ""},
		"of no known size":    {func(s *ProvisionState) { s.Taken.Snapshot.Status.RestoreSize = nil }, ""},
		"smaller": {func(s *ProvisionState) { s.Claim.Spec.Resources.Requests = storage("1Mi") }, prefix +
			"requested volume size 1048576 is less than the size 1073741824 for the source snapshot s"},
		"no snapshot": {func(s *ProvisionState) { s.Taken = Taken{} }, prefix + `error getting snapshot s from api server: volumesnapshots.snapshot.storage.k8s.io "s" not found`},
		"no content":  {func(s *ProvisionState) { s.Taken.Content = nil }, prefix + "snapshot s not bound"},
		"not bound":   {func(s *ProvisionState) { s.Taken.Snapshot.Status.BoundVolumeSnapshotContentName = nil }, prefix + "snapshot s not bound"},
		"another's":   {func(s *ProvisionState) { s.Taken.Content.Spec.VolumeSnapshotRef.UID = "x" }, prefix + "snapshot s not bound"},
		"elsewhere":   {func(s *ProvisionState) { s.Taken.Content.Spec.Driver = "x" }, prefix + "snapshot s not bound"},
		"not ready":   {func(s *ProvisionState) { s.Taken.Snapshot.Status.ReadyToUse = nil }, prefix + "snapshot s is not Ready"},
		"no handle":   {func(s *ProvisionState) { s.Taken.Folder = "" }, prefix + "snapshot handle s is not available"},
		"another mode": {block, prefix + "requested volume default/again modifies the mode of the source volume but does not have permission to do so. " +
			"snapshot.storage.kubernetes.io/allow-volume-mode-change annotation is not present on snapshotcontent c"},
		"deleted before it was asked for": {func(s *ProvisionState) { s.Taken.Snapshot.DeletionTimestamp = ptr.To(metav1.Unix(1000, 0)) }, prefix + "snapshot s is being deleted"},
		"deleted since it was asked for":  {func(s *ProvisionState) { s.Taken.Snapshot.DeletionTimestamp = ptr.To(metav1.Unix(3000, 0)) }, ""},
		"its node is gone":                {func(s *ProvisionState) { s.Nodes = s.Nodes[:1] }, "waiting for the node of snapshot s"},
	} {
		t.Run(name, func(t *testing.T) {
			node := func(name string) *corev1.Node {
				return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
					Name: name, Labels: map[string]string{corev1.LabelHostname: name}, Annotations: map[string]string{VolumesDirAnnotation: "/" + name},
				}}
			}
			s := ProvisionState{
				Claim: claim("again", ofClass("local"), func(c *corev1.PersistentVolumeClaim) {
					c.UID, c.CreationTimestamp = "again", metav1.Unix(2000, 0)
					c.Spec.Resources.Requests = storage("1Gi")
					c.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ptr.To(snapshotv1.GroupName), Kind: "VolumeSnapshot", Name: "s"}
				}),
				Class: storageClass("local", LocalProvisioner, storagev1.VolumeBindingWaitForFirstConsumer), Nodes: []*corev1.Node{node("n0"), node("n1")},
				Taken: Taken{
					Snapshot: &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: "s", UID: "u"}, Status: &snapshotv1.VolumeSnapshotStatus{
						BoundVolumeSnapshotContentName: ptr.To("c"), ReadyToUse: ptr.To(true), RestoreSize: ptr.To(resource.MustParse("1Gi")),
					}},
					Content: &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: snapshotv1.VolumeSnapshotContentSpec{
						VolumeSnapshotRef: corev1.ObjectReference{UID: "u"}, Driver: LocalProvisioner, SourceVolumeMode: ptr.To(corev1.PersistentVolumeFilesystem),
					}},
					Host: "n1", Folder: "snapshot-u",
				},
			}
			c.change(&s)
			plan := Provision(s)
			if plan.Hold != c.hold || (plan.Volume == nil) != (c.hold != "") {
				t.Fatalf("hold %q, want %q; %+v", plan.Hold, c.hold, plan.Volume)
			}
			if c.hold != "" {
				return
			}
			if from, copying := LocalCopyOf(plan.Volume); from != "snapshot-u" || !copying || plan.Volume.Spec.Local.Path != "/n1/pvc-again" {
				t.Errorf("got %+v", plan.Volume)
			}
			// It waits for no pod.
			if p := Claim(ClaimState{Claim: s.Claim, Class: s.Class}); p.Events != nil {
				t.Errorf("says %v", p.Events)
			}
		})
	}
}
