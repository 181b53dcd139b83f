package volume

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

func TestClone(t *testing.T) {
	node := func(name string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelHostname: name}, Annotations: map[string]string{VolumesDirAnnotation: "/" + name},
		}}
	}
	copyOf := func(c *corev1.PersistentVolumeClaim) {
		c.UID = "copy"
		c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "c"}
	}
	const prefix = "error getting handle for DataSource Type PersistentVolumeClaim by Name c: "
	for name, c := range map[string]struct {
		change func(*ProvisionState)
		hold   string
	}{
		"a copy": {func(*ProvisionState) {}, ""},
		// It goes where its source is, whatever was chosen.
		"another node chosen": {func(s *ProvisionState) {
			s.Claim.Annotations = map[string]string{volume.AnnSelectedNode: "n0"}
		}, ""},
		"no source":        {func(s *ProvisionState) { s.Source = Source{} }, prefix + `error getting PVC c (namespace "default") from api server: persistentvolumeclaims "c" not found`},
		"source unbound":   {func(s *ProvisionState) { s.Source.Claim.Status.Phase = corev1.ClaimPending }, prefix + "the PVC DataSource c must have a status of Bound.  Got Pending"},
		"source deleted":   {func(s *ProvisionState) { s.Source.Claim.DeletionTimestamp = ptr.To(metav1.Now()) }, prefix + "the PVC DataSource c is currently being deleted"},
		"made by hand":     {func(s *ProvisionState) { s.Source.Volume.Annotations = nil }, prefix + "claim in dataSource not bound or invalid"},
		"volume is gone":   {func(s *ProvisionState) { s.Source.Volume = nil }, prefix + "claim in dataSource not bound or invalid"},
		"volume of others": {func(s *ProvisionState) { s.Source.Volume.Spec.ClaimRef.UID = "x" }, prefix + "claim in dataSource not bound or invalid"},
		"smaller": {func(s *ProvisionState) { s.Claim.Spec.Resources.Requests = storage("1Mi") }, prefix +
			"error, new PVC request must be greater than or equal in size to the specified PVC data source, requested 1048576 but source is 1073741824"},
		"another mode": {func(s *ProvisionState) { s.Claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }, prefix +
			"the source PVC and destination PVCs must have the same volume mode for cloning.  Source is Filesystem, but new PVC requested Block"},
		"its node is gone": {func(s *ProvisionState) { s.Nodes = s.Nodes[:1] }, "waiting for the node of volume v, whose copy it is to be"},
		"with a selector":  {func(s *ProvisionState) { s.Claim.Spec.Selector = &metav1.LabelSelector{} }, "claim.Spec.Selector is not supported by provisioner berth.dev/local"},
		"of something else": {func(s *ProvisionState) {
			s.Claim.Spec.DataSource.Kind, s.Claim.Spec.DataSource.APIGroup = "X", ptr.To("x")
		}, "claim.Spec.DataSource is not supported by provisioner berth.dev/local"},
	} {
		t.Run(name, func(t *testing.T) {
			source, v := grown("1Gi")
			v.Spec.Local = &corev1.LocalVolumeSource{Path: "/n1/v"}
			s := ProvisionState{
				Claim: claim("copy", ofClass("local"), copyOf), Class: storageClass("local", LocalProvisioner, immediate),
				Nodes: []*corev1.Node{node("n0"), node("n1")}, Source: Source{source, v},
			}
			c.change(&s)
			plan := Provision(s)
			if plan.Hold != c.hold || (plan.Volume == nil) != (c.hold != "") {
				t.Fatalf("hold %q, want %q; %+v", plan.Hold, c.hold, plan.Volume)
			}
			if c.hold != "" {
				if said := plan.Events; len(said) > 0 && said[0].Message != `failed to provision volume with StorageClass "local": `+c.hold {
					t.Errorf("says %v", said)
				}
				return
			}
			if got, copying := LocalCopyOf(plan.Volume); got != "v" || !copying || plan.Volume.Spec.Local.Path != "/n1/pvc-copy" || LocalMayBeginEmpty(plan.Volume) {
				t.Errorf("got %+v", plan.Volume)
			}
			if e := plan.Events[0]; e.Reason != "Provisioning" || !strings.Contains(e.Message, `claim "default/copy"`) {
				t.Errorf("says %v", plan.Events)
			}
			// Nobody binds it before it has its content.
			state := ClaimState{Claim: s.Claim, Class: s.Class, Volumes: []*corev1.PersistentVolume{plan.Volume}}
			if p := Claim(state); p.Claim != nil || p.Volume != nil || p.Events != nil {
				t.Errorf("bound to half a copy: %+v", p)
			}
			delete(plan.Volume.Annotations, LocalBegin)
			if p := Claim(state); p.Claim == nil || p.Claim.Spec.VolumeName != "pvc-copy" {
				t.Errorf("a whole copy is not bound: %+v", p)
			}
		})
	}
}
