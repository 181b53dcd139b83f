package volume

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

// A driver that asks for it has tokens of the pod's service account, where it wants
// them, and is called again for what pods have, with new ones.
func TestDriverTokens(t *testing.T) {
	for _, inSecrets := range []bool{false, true} {
		clk := clocktesting.NewFakeClock(time.Now())
		n, root := drivenNode(t, false, func(cfg *Config, d *storagev1.CSIDriver, _ *corev1.PersistentVolume) {
			cfg.Clock = clk
			d.Spec.RequiresRepublish, d.Spec.PodInfoOnMount, d.Spec.ServiceAccountTokenInSecrets = ptr.To(true), ptr.To(true), ptr.To(inSecrets)
			d.Spec.TokenRequests = []storagev1.TokenRequest{{Audience: "vault", ExpirationSeconds: ptr.To[int64](600)}, {}}
		})
		d := &fakeDriver{told: make(chan *registerapi.RegistrationStatus, 10)}
		d.serve(t, root)
		<-d.told
		if err := n.sets(t, "u1"); err != nil {
			t.Fatal(err)
		}
		soon(t, "it is called again", func() bool { clk.Step(republishEvery / 10); return len(d.publishes()) > 1 })
		seen := map[string]bool{}
		for _, r := range d.publishes()[:2] {
			if got := r.VolumeContext["csi.storage.k8s.io/pod.uid"]; got != "u1" {
				t.Errorf("told of pod %q", got)
			}
			in, not := r.VolumeContext, r.Secrets
			if inSecrets {
				in, not = not, in
			}
			var tokens map[string]struct{ Token, ExpirationTimestamp string }
			if err := json.Unmarshal([]byte(in["csi.storage.k8s.io/serviceAccount.tokens"]), &tokens); err != nil || not["csi.storage.k8s.io/serviceAccount.tokens"] != "" {
				t.Fatalf("%v %v: %v", in, not, err)
			}
			for _, audience := range []string{"vault", ""} {
				token := tokens[audience]
				if when, err := time.Parse(time.RFC3339, token.ExpirationTimestamp); seen[token.Token] || token.Token == "" || err != nil || when.IsZero() {
					t.Errorf("for %q: %+v %v", audience, token, err)
				}
				seen[token.Token] = true
			}
		}
		if err := n.TearDown(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
	}
}

// Whose files a volume's are for a pod with an fsGroup: the driver's object says who
// sees to it, or the driver does by itself.
func TestDriverGroups(t *testing.T) {
	const once, many = corev1.ReadWriteOnce, corev1.ReadWriteMany
	own := []spec.NodeServiceCapability_RPC_Type{spec.NodeServiceCapability_RPC_VOLUME_MOUNT_GROUP}
	for i, c := range []struct {
		policy storagev1.FSGroupPolicy
		fsType string
		mode   corev1.PersistentVolumeAccessMode
		can    []spec.NodeServiceCapability_RPC_Type
		want   string // the group of the files, and what the driver is told
	}{
		{storagev1.NoneFSGroupPolicy, "ext4", once, nil, "0 "},
		{storagev1.FileFSGroupPolicy, "", many, nil, "4242 "},
		{storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy, "ext4", once, nil, "4242 "},
		{storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy, "", once, nil, "0 "},
		{storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy, "ext4", many, nil, "0 "},
		{storagev1.FileFSGroupPolicy, "ext4", once, own, "0 4242"},
	} {
		n, root := drivenNode(t, false, func(_ *Config, d *storagev1.CSIDriver, pv *corev1.PersistentVolume) {
			d.Spec.FSGroupPolicy, pv.Spec.CSI.FSType, pv.Spec.AccessModes = &c.policy, c.fsType, []corev1.PersistentVolumeAccessMode{c.mode}
		})
		d := &fakeDriver{told: make(chan *registerapi.RegistrationStatus, 10), can: c.can}
		d.serve(t, root)
		<-d.told
		user := pod("u1", claimVolume("f"))
		user.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](4242)}
		paths, err := n.Setup(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(paths["www"])
		if err != nil {
			t.Fatal(err)
		}
		told := d.publishes()[0].VolumeCapability.GetMount()
		if got := fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid, " ", told.VolumeMountGroup); got != c.want || told.FsType != c.fsType {
			t.Errorf("case %d: %q, want %q; %v", i, got, c.want, told)
		}
		if err := n.TearDown(t.Context(), types.UID("u1")); err != nil {
			t.Fatal(err)
		}
		if left, err := mountsUnder(root); err != nil || len(left) > 0 {
			t.Errorf("left: %s %v", strings.Join(left, " "), err)
		}
	}
}
