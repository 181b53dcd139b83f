package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"berth.dev/berth/internal/node/disk"
	planvolume "berth.dev/berth/internal/plan/volume"
)

// A volume is staged once for all pods of the node and unstaged with the last;
// what was done before a restart is not done again.
func TestDriver(t *testing.T) {
	n, root := drivenNode(t, false)
	err := n.sets(t, "u1")
	if err == nil || err.Error() != `MountVolume.MountDevice failed for volume "pv" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name d not found in the list of registered CSI drivers` {
		t.Fatalf("without its driver: %v", err)
	}
	// A pod that never got its volume needs no driver to end.
	if err := n.sets(t, "u0"); err == nil {
		t.Fatal("set up without a driver")
	}
	if err := n.TearDown(t.Context(), "u0"); err != nil {
		t.Fatal(err)
	}
	d := &fakeDriver{told: make(chan *registerapi.RegistrationStatus, 10), can: []spec.NodeServiceCapability_RPC_Type{spec.NodeServiceCapability_RPC_GET_VOLUME_STATS}}
	stop := d.serve(t, root)
	if s := <-d.told; !s.PluginRegistered || s.Error != "" {
		t.Fatal(s)
	}
	if uid := <-n.changes; uid != "u0" && uid != "u1" {
		t.Errorf("woken: %s", uid)
	}
	object, err := n.client.StorageV1().CSINodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil || fmt.Sprint(object.Spec.Drivers) != fmt.Sprint([]storagev1.CSINodeDriver{{Name: "d", NodeID: "me"}}) || object.OwnerReferences[0].UID != "node-uid" {
		t.Errorf("CSINode: %v %v", object, err)
	}
	here, err := n.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil || here.Annotations["csi.volume.kubernetes.io/nodeid"] != `{"d":"me"}` {
		t.Errorf("node: %v %v", here.Annotations, err)
	}
	if err := n.sets(t, "u1"); err != nil || d.since() != "NodeStageVolume NodePublishVolume" {
		t.Fatalf("the first pod: %v", err)
	}
	if err := n.sets(t, "u2"); err != nil || d.since() != "NodePublishVolume" {
		t.Fatalf("the second pod: %v", err)
	}
	if err := n.sets(t, "u1"); err != nil || d.since() != "" {
		t.Fatalf("once more: %v", err)
	}
	mount := filepath.Join(root, "pods/u1/volumes/kubernetes.io~csi/pv/mount")
	note, err := os.ReadFile(filepath.Join(filepath.Dir(mount), "vol_data.json"))
	if err != nil || !isMountPoint(mount) || !strings.Contains(string(note), `"volumeHandle":"h","driverName":"d"`) {
		t.Errorf("on the disk: %s %v", note, err)
	}
	files := n.Files("u1")["www"]
	if files != (Files{Path: mount, Driven: true, Claim: "f"}) {
		t.Errorf("to be measured: %+v", files)
	}
	want := disk.Space{Capacity: 100, Used: 30, Available: 60, Inodes: 10, InodesUsed: 3, InodesFree: 7}
	if space, err := n.DriverStats(t.Context(), files.Path); err != nil || space != want {
		t.Errorf("what the driver says of it: %+v %v", space, err)
	}
	// How full a volume is may take its time: the pods do not wait for that.
	d.hang("NodeGetVolumeStats")
	asking, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() { _, err := n.DriverStats(asking, mount); asked <- err }()
	soon(t, "the driver hangs", func() bool { return d.asked("NodeGetVolumeStats") > 1 })
	if err := n.sets(t, "u1"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-asked; err == nil || !strings.HasSuffix(err.Error(), "(NodeGetVolumeStats of driver d)") {
		t.Error(err)
	}
	// A driver that hangs is an error that names it, after its time.
	d.hang("NodeUnpublishVolume")
	if err := n.TearDown(t.Context(), "u1"); err == nil || !strings.Contains(err.Error(), `UnmountVolume.TearDown failed for volume "pv" : rpc error: code = DeadlineExceeded desc = `) || !strings.HasSuffix(err.Error(), "(NodeUnpublishVolume of driver d)") {
		t.Errorf("a driver that hangs: %v", err)
	}
	d.hang("")
	if !isMountPoint(mount) {
		t.Error("it was unmounted behind the driver's back")
	}
	d.since()
	if err := n.TearDown(t.Context(), "u1"); err != nil || d.since() != "NodeUnpublishVolume" {
		t.Fatal(err)
	}
	// A driver that is away is waited for: when it comes, the pod is told.
	gone := func() bool {
		object, err := n.client.StorageV1().CSINodes().Get(t.Context(), "n1", metav1.GetOptions{})
		return err == nil && len(object.Spec.Drivers) == 0
	}
	stop()
	soon(t, "the driver is gone from the API", gone)
	err = n.TearDown(t.Context(), "u2")
	if err == nil || err.Error() != `UnmountVolume.TearDown failed for volume "pv" : kubernetes.io/csi: Unmounter.TearDownAt failed to get CSI client: driver name d not found in the list of registered CSI drivers` {
		t.Errorf("without its driver: %v", err)
	}
	for len(n.changes) > 0 {
		<-n.changes
	}
	stop = d.serve(t, root)
	if uid := <-n.changes; uid != "u2" {
		t.Errorf("told: %s", uid)
	}
	if err := n.TearDown(t.Context(), "u2"); err != nil || d.since() != "NodeUnpublishVolume NodeUnstageVolume" {
		t.Fatal(err)
	}
	if left, err := mountsUnder(root); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	stop()
	soon(t, "the driver is gone from the API", gone)
}

// A volume is used when it is attached, the node has said that it uses it, and
// nobody has begun to take it away.
func TestDriverAttached(t *testing.T) {
	n, root := drivenNode(t, true)
	d := &fakeDriver{told: make(chan *registerapi.RegistrationStatus, 10)}
	d.serve(t, root)
	<-d.told
	write := func(attached, deleting, inUse, listed bool) *corev1.Node {
		here, err := n.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		here.Status = corev1.NodeStatus{}
		name := planvolume.CSIName("d", "h")
		if inUse {
			here.Status.VolumesInUse = []corev1.UniqueVolumeName{name}
		}
		if listed {
			here.Status.VolumesAttached = []corev1.AttachedVolume{{Name: name}}
		}
		a := &storagev1.VolumeAttachment{
			ObjectMeta: metav1.ObjectMeta{Name: planvolume.AttachmentName("d", "h", "n1")},
			Spec:       storagev1.VolumeAttachmentSpec{Attacher: "d", NodeName: "n1", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new("pv")}},
			Status:     storagev1.VolumeAttachmentStatus{Attached: attached},
		}
		if deleting {
			a.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
		_ = n.client.StorageV1().VolumeAttachments().Delete(t.Context(), a.Name, metav1.DeleteOptions{}) // of the last case
		_, err = n.client.CoreV1().Nodes().UpdateStatus(t.Context(), here, metav1.UpdateOptions{})
		if err := errors.Join(err, n.client.Tracker().Add(a)); err != nil {
			t.Fatal(err)
		}
		return here
	}
	attempt := func(uid types.UID, attached, deleting, inUse, listed bool) error {
		write(attached, deleting, inUse, listed)
		return n.sets(t, uid)
	}
	for i, c := range [][4]bool{{false, false, true, true}, {true, true, true, true}, {true, false, false, true}, {true, false, true, false}} {
		err := attempt("u1", c[0], c[1], c[2], c[3])
		if err == nil || err.Error() != "Unable to attach or mount volumes: unmounted volumes=[www], unattached volumes=[www], failed to process volumes=[]: timed out waiting for the condition" {
			t.Errorf("case %d: %v", i, err)
		}
	}
	if got := n.notes.InUse(); len(got) != 1 || got[0] != "kubernetes.io/csi/d^h" {
		t.Errorf("in use while it is waited for: %v", got)
	}
	if err := attempt("u1", true, false, true, true); err != nil {
		t.Fatal(err)
	}
	if err := n.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if got := n.notes.InUse(); len(got) > 0 {
		t.Errorf("in use by nobody: %v", got)
	}
	// What waits is woken by the node's object, and by nothing else.
	n.cfg.claimWait = time.Hour
	write(false, false, true, false)
	n.client.ClearActions()
	set := make(chan error, 1)
	go func() { set <- n.sets(t, "u2") }()
	asked := func() (nodes int) {
		for _, a := range n.client.Actions() {
			if a.Matches("get", "nodes") {
				nodes++
			}
		}
		return nodes
	}
	soon(t, "the node is asked for", func() bool { return asked() == 1 })
	n.NodeSeen(write(true, false, true, true))
	if err := <-set; err != nil || asked() > 3 { // one of them is write's
		t.Fatalf("%v, asked for the node %d times", err, asked())
	}
	if err := n.TearDown(t.Context(), "u2"); err != nil {
		t.Fatal(err)
	}
	if len(n.drives.busy)+len(n.drives.waiting)+len(n.drives.ready) > 0 {
		t.Errorf("remembered of what is gone: %v %v %v", n.drives.busy, n.drives.waiting, n.drives.ready)
	}
}

// Notes are read from the disk once; what is not readable may be anybody's, and
// what was removed by hand is nobody's.
func TestNotes(t *testing.T) {
	root := t.TempDir()
	v := New(Config{Root: root})
	u := driverUse{PV: "pv", Handle: "h", Driver: "d", Attachment: "a"}
	if err := errors.Join(v.noteUse("u1", u), v.noteUse("u2", u), v.noteStaged(u)); err != nil {
		t.Fatal(err)
	}
	used := func(v *Volumes, but types.UID) string {
		used, err := v.notes.usedByOthers(u, but)
		return fmt.Sprint(used, " ", err != nil)
	}
	again := New(Config{Root: root})
	for _, v := range []*Volumes{v, again} {
		if got := used(v, "u1"); got != "true false" {
			t.Error("with another pod:", got)
		}
		if got := v.notes.InUse(); !slices.Equal(got, []corev1.UniqueVolumeName{"kubernetes.io/csi/d^h"}) {
			t.Error(got)
		}
	}
	if err := os.RemoveAll(v.PodDir("u2")); err != nil { // by hand
		t.Fatal(err)
	}
	if got := used(v, "u1"); got != "false false" {
		t.Error("with its folder removed:", got)
	}
	broken := filepath.Join(v.useDir("u3", "x"), useNote)
	if err := errors.Join(os.MkdirAll(filepath.Dir(broken), 0o750), os.WriteFile(broken, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	late := New(Config{Root: root})
	if got := used(late, "u1"); got != "false true" {
		t.Error("with a note that cannot be read:", got)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if got := used(late, "u1"); got != "false false" {
		t.Error("when that is gone:", got)
	}
	if err := errors.Join(late.notes.remove(late.stagedNote(u)), late.notes.remove(filepath.Join(late.useDir("u1", "pv"), useNote))); err != nil {
		t.Fatal(err)
	}
	if got := late.notes.InUse(); len(got) > 0 {
		t.Error("in use by nobody:", got)
	}
}
