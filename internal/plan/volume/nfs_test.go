package volume

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

func nfsState(change func(*ProvisionState)) ProvisionState {
	s := ProvisionState{Claim: claim("c", ofClass("nfs")), Class: storageClass("nfs", NFSProvisioner, immediate)}
	s.Class.Parameters = map[string]string{"server": "files.example", "share": "/srv/k8s"}
	s.Class.MountOptions = []string{"nfsvers=4.2"}
	if change != nil {
		change(&s)
	}
	return s
}

func TestProvisionNFS(t *testing.T) {
	delayed := func(s *ProvisionState) {
		s.Class.VolumeBindingMode = ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)
	}
	for name, c := range map[string]struct {
		change func(*ProvisionState)
		hold   string
	}{
		"at once":     {nil, ""},
		"no consumer": {delayed, "waiting for the scheduler to choose a node"},
		"a consumer": {func(s *ProvisionState) {
			delayed(s)
			s.Claim.Annotations = map[string]string{volume.AnnSelectedNode: "n1"}
		}, ""},
		"no server":    {func(s *ProvisionState) { delete(s.Class.Parameters, "server") }, "server is a required parameter"},
		"no share":     {func(s *ProvisionState) { s.Class.Parameters["share"] = "srv" }, "share is a required parameter, the absolute path that the server exports"},
		"mistyped":     {func(s *ProvisionState) { s.Class.Parameters["sahre"] = "/srv" }, `invalid parameter "sahre" in storage class: there are "server" and "share"`},
		"block":        {func(s *ProvisionState) { s.Claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }, "berth.dev/nfs does not support block volume provisioning"},
		"a selector":   {func(s *ProvisionState) { s.Claim.Spec.Selector = &metav1.LabelSelector{} }, "claim.Spec.Selector is not supported by provisioner berth.dev/nfs"},
		"a copy":       {func(s *ProvisionState) { s.Claim.Spec.DataSource = &corev1.TypedLocalObjectReference{} }, "claim.Spec.DataSource is not supported by provisioner berth.dev/nfs"},
		"made already": {func(s *ProvisionState) { s.Exists = true }, "-"},
		"of others":    {func(s *ProvisionState) { s.Class.Provisioner = "example.com/nfs" }, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := ProvisionNFS(nfsState(c.change))
			if c.hold != "" {
				if plan.Volume != nil || plan.Hold != c.hold && c.hold != "-" {
					t.Errorf("got %+v", plan)
				}
				return
			}
			v := plan.Volume
			if v == nil || v.Spec.NFS == nil || v.Spec.NFS.Server != "files.example" || v.Spec.NFS.Path != "/srv/k8s/pvc-c-uid" ||
				!slices.Equal(v.Spec.MountOptions, []string{"nfsvers=4.2"}) || !LocalMayBeginEmpty(v) || v.Spec.NodeAffinity != nil {
				t.Fatalf("got %+v", v)
			}
			if share, folder, ok := NFSFolder(v); !ok || share.Path != "/srv/k8s" || folder != "pvc-c-uid" {
				t.Errorf("its folder: %v %q %v", share, folder, ok)
			}
		})
	}
}

func TestNFSFolderRefusesForeignPaths(t *testing.T) {
	for name, spoil := range map[string]func(*corev1.PersistentVolume){
		"the share itself": func(v *corev1.PersistentVolume) { v.Spec.NFS.Path = "/srv" },
		"with dots":        func(v *corev1.PersistentVolume) { v.Spec.NFS.Path = "/srv/../" + v.Name },
		"made by hand":     func(v *corev1.PersistentVolume) { v.Annotations = nil },
		"not ours by name": func(v *corev1.PersistentVolume) { v.Name, v.Spec.NFS.Path = "data", "/srv/data" },
		"of another kind":  func(v *corev1.PersistentVolume) { v.Spec.NFS = nil },
	} {
		v := ProvisionNFS(nfsState(nil)).Volume
		if spoil(v); NFSMustRemove(v, "") {
			t.Errorf("%s: removed", name)
		}
		if _, _, ok := NFSFolder(v); ok {
			t.Errorf("%s: taken for ours", name)
		}
	}
}

// A deleted volume is removed by one node that is up, and only when its policy
// says so and nobody holds it.
func TestNFSRelease(t *testing.T) {
	node := func(name string, ready corev1.ConditionStatus) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
		return n
	}
	down, b, c := node("a", corev1.ConditionUnknown), node("b", corev1.ConditionTrue), node("c", corev1.ConditionTrue)
	for name, x := range map[string]struct {
		change func(*corev1.PersistentVolume)
		nodes  []*corev1.Node
		keeper string // who is asked; "-" is that it goes, "" that nothing changes
	}{
		"asked":              {nil, []*corev1.Node{down, c, b}, "b"},
		"nobody is up":       {nil, []*corev1.Node{down}, ""},
		"asked already":      {func(v *corev1.PersistentVolume) { v.Annotations[NFSKeeper] = "c" }, []*corev1.Node{b, c}, ""},
		"who was asked fell": {func(v *corev1.PersistentVolume) { v.Annotations[NFSKeeper] = "a" }, []*corev1.Node{down, b}, "b"},
		"retained": {func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}, []*corev1.Node{b}, "-"},
		"never used":  {func(v *corev1.PersistentVolume) { v.Annotations[LocalBegin] = LocalBeginEmpty }, []*corev1.Node{b}, "-"},
		"moved":       {func(v *corev1.PersistentVolume) { v.Spec.NFS.Path = "/elsewhere" }, []*corev1.Node{b}, "-"},
		"bound":       {func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound }, []*corev1.Node{b}, ""},
		"protected":   {func(v *corev1.PersistentVolume) { v.Finalizers = append(v.Finalizers, VolumeProtection) }, []*corev1.Node{b}, ""},
		"not deleted": {func(v *corev1.PersistentVolume) { v.DeletionTimestamp = nil }, []*corev1.Node{b}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := ProvisionNFS(nfsState(nil)).Volume
			delete(v.Annotations, LocalBegin)
			v.Finalizers, v.DeletionTimestamp, v.Status.Phase = []string{NFSFinalizer}, ptr.To(metav1.Now()), corev1.VolumeReleased
			if x.change != nil {
				x.change(v)
			}
			got := ""
			if changed := NFSRelease(v, x.nodes); changed != nil {
				if got = changed.Annotations[NFSKeeper]; len(changed.Finalizers) == 0 {
					got = "-"
				} else if !NFSMustRemove(changed, got) || NFSMustRemove(changed, "other") {
					t.Error("who is asked does not know, or others do")
				}
			}
			if got != x.keeper {
				t.Errorf("%q, want %q", got, x.keeper)
			}
		})
	}
}
