package volumesnapshot

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	planvolume "berth.dev/berth/internal/plan/volume"
	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// world is a claim with its volume on host h, a default class and a snapshot of
// the claim that nobody has looked at yet.
func world() State {
	return State{
		Snapshot: &v1.VolumeSnapshot{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", UID: "u", Finalizers: []string{SourceFinalizer}},
			Spec:       v1.VolumeSnapshotSpec{Source: v1.VolumeSnapshotSource{PersistentVolumeClaimName: ptr.To("c")}, VolumeSnapshotClassName: ptr.To("k")},
		},
		Claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c", UID: "cu"},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pvc-cu"},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		},
		Volume: &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pvc-cu", Annotations: map[string]string{volume.AnnDynamicallyProvisioned: planvolume.LocalProvisioner}},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				ClaimRef:               &corev1.ObjectReference{Namespace: "ns", Name: "c", UID: "cu"},
				PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/v/pvc-cu"}},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"h"}}},
				}}}},
			},
		},
		Classes: []*v1.VolumeSnapshotClass{{
			ObjectMeta: metav1.ObjectMeta{Name: "k", Annotations: map[string]string{DefaultClass: "true"}}, Driver: planvolume.LocalProvisioner, DeletionPolicy: v1.Delete,
		}},
		Now: metav1.Unix(1000, 0),
	}
}

func content(ready bool) *v1.VolumeSnapshotContent {
	c := &v1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "snapcontent-u", Finalizers: []string{ContentFinalizer}},
		Spec: v1.VolumeSnapshotContentSpec{
			VolumeSnapshotRef: corev1.ObjectReference{Namespace: "ns", Name: "s", UID: "u"}, DeletionPolicy: v1.Delete, Driver: planvolume.LocalProvisioner,
			Source: v1.VolumeSnapshotContentSource{VolumeHandle: ptr.To("h/pvc-cu")},
		},
	}
	if ready {
		c.Status = &v1.VolumeSnapshotContentStatus{
			SnapshotHandle: ptr.To("h/snapshot-u"), CreationTime: ptr.To(int64(5e9 + 7)), RestoreSize: ptr.To(int64(1 << 30)), ReadyToUse: ptr.To(true),
		}
	}
	return c
}

// describe is a plan in a line.
func describe(p Plan) string {
	var words []string
	say := func(some ...string) { words = append(words, strings.Join(some, " ")) }
	if s := p.Snapshot; s != nil {
		say("snapshot", ptr.Deref(s.Spec.VolumeSnapshotClassName, "-"), strings.ReplaceAll(strings.Join(s.Finalizers, ","), "snapshot.storage.kubernetes.io/", ""))
	}
	if s := p.Status; s != nil {
		is := s.Status
		line := []string{"status", ptr.Deref(is.BoundVolumeSnapshotContentName, "-"), "-"}
		if is.ReadyToUse != nil {
			line[2] = map[bool]string{true: "ready", false: "unready"}[*is.ReadyToUse]
		}
		if is.CreationTime != nil {
			line = append(line, is.CreationTime.UTC().Format("15:04:05"), is.RestoreSize.String())
		}
		if is.Error != nil {
			line = append(line, "error: "+*is.Error.Message)
		}
		say(line...)
	}
	if c := p.Claim; c != nil {
		say("claim", strings.Join(c.Finalizers, ","))
	}
	if c := p.Content; c != nil {
		say("content", string(c.Spec.VolumeSnapshotRef.UID), ptr.Deref(c.Spec.VolumeSnapshotClassName, "-"), c.Annotations[BeingDeleted])
	}
	if c := p.Create; c != nil {
		say("create", c.Name, *c.Spec.Source.VolumeHandle, string(c.Spec.DeletionPolicy), string(c.Spec.VolumeSnapshotRef.UID))
	}
	if c := p.Delete; c != nil {
		say("delete", c.Name)
	}
	for _, e := range p.Events {
		say(e.Type, e.Reason, e.Message)
	}
	return strings.Join(words, "\n")
}

func TestSnapshot(t *testing.T) {
	now := ptr.To(metav1.Unix(2000, 0))
	held := func(s *State) { s.Claim.Finalizers = []string{ClaimFinalizer} }
	with := func(c *v1.VolumeSnapshotContent) func(*State) { return func(s *State) { s.Content = c } }
	ready := func(s *State) {
		s.Content = content(true)
		s.Snapshot.Finalizers = []string{SourceFinalizer, BoundFinalizer}
		s.Snapshot.Status = follow(*s).Status.Status
	}
	fails := func(reason, message string) string {
		return "status - unready error: " + message + "\nWarning " + reason + " " + message
	}
	noClass := func(reason, message string) string { return strings.Replace(fails(reason, message), "unready", "-", 1) }
	driven := func(s *State) {
		s.Volume.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: "vol-1"}}
		s.Volume.Spec.NodeAffinity, s.Classes[0].Driver = nil, "csi.example.com"
	}
	imported := func(uid, handle string) func(*State) {
		return func(s *State) {
			s.Snapshot.Spec = v1.VolumeSnapshotSpec{Source: v1.VolumeSnapshotSource{VolumeSnapshotContentName: ptr.To("snapcontent-u")}}
			s.Content = content(true)
			s.Content.Spec.VolumeSnapshotRef.UID = ""
			if uid != "" {
				s.Content.Spec.VolumeSnapshotRef.UID = "other"
			}
			s.Content.Spec.DeletionPolicy = v1.Retain
			s.Content.Spec.Source = v1.VolumeSnapshotContentSource{SnapshotHandle: &handle}
			if handle == "" {
				s.Content.Spec.Source = v1.VolumeSnapshotContentSource{VolumeHandle: ptr.To("h/v")}
			}
		}
	}
	for name, c := range map[string]struct {
		change []func(*State)
		want   string
	}{
		"first the finalizer": {[]func(*State){func(s *State) { s.Snapshot.Finalizers = nil }}, "snapshot k volumesnapshot-as-source-protection"},
		"the default class":   {[]func(*State){func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName = nil }}, "snapshot k volumesnapshot-as-source-protection"},
		"no default class": {
			[]func(*State){func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName, s.Classes[0].Annotations = nil, nil }},
			noClass("SetDefaultSnapshotClassFailed", "Failed to set default snapshot class with error cannot find default snapshot class"),
		},
		"two default classes": {[]func(*State){func(s *State) {
			s.Snapshot.Spec.VolumeSnapshotClassName, s.Classes = nil, append(s.Classes, s.Classes[0])
		}}, noClass("SetDefaultSnapshotClassFailed", "Failed to set default snapshot class with error 2 default snapshot classes were found")},
		"a default class of another driver": {
			[]func(*State){func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName, s.Classes[0].Driver = nil, "x" }},
			noClass("SetDefaultSnapshotClassFailed", "Failed to set default snapshot class with error cannot find default snapshot class"),
		},
		"no class, a volume of no driver": {
			[]func(*State){func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName, s.Volume.Annotations = nil, nil }},
			noClass("SetDefaultSnapshotClassFailed", "Failed to set default snapshot class with error snapshotting non-CSI volumes is not supported, snapshot:ns/s"),
		},
		"no class, an unbound claim": {
			[]func(*State){func(s *State) {
				s.Snapshot.Spec.VolumeSnapshotClassName, s.Claim.Status.Phase, s.Volume = nil, corev1.ClaimPending, nil
			}},
			noClass("SetDefaultSnapshotClassFailed", "Failed to set default snapshot class with error the PVC c is not yet bound to a PV, will not attempt to take a snapshot"),
		},
		"no class, imported": {[]func(*State){imported("", "h/snapshot-old"), func(s *State) { s.Classes = append(s.Classes, s.Classes[0]) }}, "content u - "},
		"no such class": {
			[]func(*State){func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName = ptr.To("x") }},
			noClass("GetSnapshotClassFailed", `Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io "x" not found`),
		},
		"no claim": {[]func(*State){func(s *State) { s.Claim, s.Volume = nil, nil }}, fails("SnapshotContentCreationFailed",
			"Failed to create snapshot content with error snapshot controller failed to update s on API server: cannot get claim from snapshot")},
		"no class, no claim": {
			[]func(*State){func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName, s.Claim, s.Volume = nil, nil, nil }},
			noClass("SetDefaultSnapshotClassFailed", `Failed to set default snapshot class with error failed to retrieve PVC c from the lister: "persistentvolumeclaim \"c\" not found"`),
		},
		"an unbound claim": {[]func(*State){func(s *State) { s.Claim.Status.Phase, s.Volume = corev1.ClaimPending, nil }}, fails("SnapshotContentCreationFailed",
			`Failed to create snapshot content with error failed to get input parameters to create snapshot s: "the PVC c is not yet bound to a PV, will not attempt to take a snapshot"`)},
		"a deleted claim": {[]func(*State){func(s *State) { s.Claim.DeletionTimestamp = now }}, fails("SnapshotContentCreationFailed",
			"Failed to create snapshot content with error snapshot controller failed to update c on API server: cannot add finalizer on claim because it is being deleted")},
		"a deleted claim that is held": {
			[]func(*State){held, func(s *State) { s.Claim.DeletionTimestamp = now }},
			"create snapcontent-u h/pvc-cu Delete u\nNormal CreatingSnapshot Waiting for a snapshot ns/s to be created by the CSI driver.",
		},
		"a volume of a driver": {[]func(*State){held, driven}, "create snapcontent-u vol-1 Delete u\nNormal CreatingSnapshot Waiting for a snapshot ns/s to be created by the CSI driver."},
		"the default class of a driver": {[]func(*State){driven, func(s *State) {
			s.Snapshot.Spec.VolumeSnapshotClassName, s.Classes = nil, append(world().Classes, s.Classes...)
			s.Classes[1].Name = "its"
		}}, "snapshot its volumesnapshot-as-source-protection"},
		"a class of half a secret": {[]func(*State){driven, func(s *State) { s.Classes[0].Parameters = map[string]string{secretName: "x"} }}, fails("SnapshotContentCreationFailed",
			`Failed to create snapshot content with error failed to get input parameters to create snapshot s: "failed to get name and namespace template from params: either name and namespace for Snapshotter secrets specified, Both must be specified"`)},
		"a volume made by hand": {[]func(*State){func(s *State) { s.Volume.Annotations = nil }}, fails("SnapshotContentCreationFailed",
			"Failed to create snapshot content with error cannot find CSI PersistentVolumeSource for volume pvc-cu")},
		"a class of another driver": {[]func(*State){func(s *State) { s.Classes[0].Driver = "x" }}, fails("SnapshotContentCreationFailed",
			"Failed to create snapshot content with error VolumeSnapshotClass k is of driver x, volume pvc-cu of berth.dev/local")},
		"the claim is held":    {nil, "claim snapshot.storage.kubernetes.io/pvc-as-source-protection"},
		"then the content":     {[]func(*State){held}, "create snapcontent-u h/pvc-cu Delete u\nNormal CreatingSnapshot Waiting for a snapshot ns/s to be created by the CSI driver."},
		"bound to its content": {[]func(*State){held, with(content(false))}, "snapshot k volumesnapshot-as-source-protection,volumesnapshot-bound-protection"},
		"what is being taken":  {[]func(*State){held, with(content(false)), func(s *State) { s.Snapshot.Finalizers = append(s.Snapshot.Finalizers, BoundFinalizer) }}, "status snapcontent-u unready"},
		"what is taken": {
			[]func(*State){held, with(content(true)), func(s *State) { s.Snapshot.Finalizers = append(s.Snapshot.Finalizers, BoundFinalizer) }},
			"status snapcontent-u ready 00:00:05 1Gi\nNormal SnapshotCreated Snapshot ns/s was successfully created by the CSI driver.\nNormal SnapshotReady Snapshot ns/s is ready to use.",
		},
		"the claim is let go":        {[]func(*State){held, ready}, "claim "},
		"not while others are taken": {[]func(*State){held, ready, func(s *State) { s.ClaimBusy = true }}, ""},
		"at rest":                    {[]func(*State){ready}, ""},
		"its content is gone":        {[]func(*State){ready, with(nil)}, "status snapcontent-u unready 00:00:05 1Gi error: VolumeSnapshotContent is missing\nWarning SnapshotContentMissing VolumeSnapshotContent is missing"},
		"its content is another's": {
			[]func(*State){ready, func(s *State) { s.Content.Spec.VolumeSnapshotRef.UID = "x" }},
			"status snapcontent-u unready 00:00:05 1Gi error: VolumeSnapshotContent is not bound to the VolumeSnapshot correctly\nWarning SnapshotMisbound VolumeSnapshotContent is not bound to the VolumeSnapshot correctly",
		},
		"imported": {[]func(*State){imported("", "h/snapshot-old")}, "content u - "},
		"imported, no such class": {
			[]func(*State){imported("", "h/snapshot-old"), func(s *State) { s.Snapshot.Spec.VolumeSnapshotClassName = ptr.To("x") }},
			noClass("GetSnapshotClassFailed", `Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io "x" not found`),
		},
		"imported, nothing there": {[]func(*State){imported("", "h/snapshot-old"), with(nil)}, fails("SnapshotContentMissing", "VolumeSnapshotContent is missing")},
		"imported, another's":     {[]func(*State){imported("x", "h/snapshot-old")}, fails("SnapshotContentMisbound", "VolumeSnapshotContent [snapcontent-u] is bound to a different snapshot")},
		"imported, of a volume":   {[]func(*State){imported("", "")}, fails("SnapshotContentMismatch", "VolumeSnapshotContent is dynamically provisioned while expecting a pre-provisioned one")},
		"deleted":                 {[]func(*State){ready, func(s *State) { s.Snapshot.DeletionTimestamp = now }}, "content u - yes"},
		"deleted, being restored": {
			[]func(*State){ready, func(s *State) { s.Snapshot.DeletionTimestamp, s.Restoring = now, true }},
			"Warning SnapshotDeletePending Snapshot is being used to restore a PVC",
		},
		"deleted, then the content": {[]func(*State){ready, func(s *State) {
			s.Snapshot.DeletionTimestamp, s.Content.Annotations = now, map[string]string{BeingDeleted: "yes"}
		}}, "delete snapcontent-u"},
		"deleted, the content goes": {[]func(*State){ready, func(s *State) {
			s.Snapshot.DeletionTimestamp, s.Content.DeletionTimestamp, s.Content.Annotations = now, now, map[string]string{BeingDeleted: "yes"}
		}}, "snapshot k volumesnapshot-bound-protection"},
		"deleted, the content is kept": {[]func(*State){ready, func(s *State) {
			s.Snapshot.DeletionTimestamp, s.Content.Spec.DeletionPolicy, s.Content.Annotations = now, v1.Retain, map[string]string{BeingDeleted: "yes"}
		}}, "snapshot k "},
		"deleted, the content is gone":   {[]func(*State){ready, with(nil), func(s *State) { s.Snapshot.DeletionTimestamp = now }}, "snapshot k "},
		"deleted before it was taken":    {[]func(*State){held, func(s *State) { s.Snapshot.DeletionTimestamp = now }}, "claim "},
		"deleted, others hold the claim": {[]func(*State){held, func(s *State) { s.Snapshot.DeletionTimestamp, s.ClaimBusy = now, true }}, "snapshot k "},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			for _, f := range c.change {
				f(&s)
			}
			if got := describe(Snapshot(s)); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// The same words twice are written once.
func TestSaidOnce(t *testing.T) {
	s := world()
	s.Claim, s.Volume = nil, nil
	s.Snapshot = Snapshot(s).Status
	if got := describe(Snapshot(s)); got != "" {
		t.Errorf("again: %s", got)
	}
}

func TestLocal(t *testing.T) {
	now := ptr.To(metav1.Unix(2000, 0))
	gone := func(c *v1.VolumeSnapshotContent) { c.DeletionTimestamp = now }
	marked := func(c *v1.VolumeSnapshotContent) { c.Annotations = map[string]string{BeingDeleted: "yes"} }
	handle := func(h string) func(*v1.VolumeSnapshotContent) {
		return func(c *v1.VolumeSnapshotContent) {
			c.Status, c.Spec.VolumeSnapshotRef.UID, c.Spec.Source = nil, "", v1.VolumeSnapshotContentSource{SnapshotHandle: &h}
		}
	}
	for name, c := range map[string]struct {
		ready  bool
		change []func(*v1.VolumeSnapshotContent)
		step   Step
		folder string
		freed  bool // by the control plane, as no node has that name
	}{
		"to be taken":         {false, nil, Take, "snapshot-u", false},
		"taken":               {true, nil, Rest, "", false},
		"of another node":     {false, []func(*v1.VolumeSnapshotContent){func(c *v1.VolumeSnapshotContent) { c.Spec.Source.VolumeHandle = ptr.To("g/pvc-cu") }}, Rest, "", false},
		"of another driver":   {false, []func(*v1.VolumeSnapshotContent){func(c *v1.VolumeSnapshotContent) { c.Spec.Driver = "x" }}, Rest, "", false},
		"deleted by hand":     {true, []func(*v1.VolumeSnapshotContent){gone}, Rest, "", false},
		"deleted untaken":     {false, []func(*v1.VolumeSnapshotContent){gone}, Take, "snapshot-u", false},
		"deleted":             {true, []func(*v1.VolumeSnapshotContent){gone, marked}, Remove, "snapshot-u", true},
		"deleted and kept":    {true, []func(*v1.VolumeSnapshotContent){gone, marked, func(c *v1.VolumeSnapshotContent) { c.Spec.DeletionPolicy = v1.Retain }}, Keep, "snapshot-u", true},
		"imported":            {false, []func(*v1.VolumeSnapshotContent){handle("h/snapshot-x")}, Look, "snapshot-x", false},
		"imported, deleted":   {false, []func(*v1.VolumeSnapshotContent){handle("h/snapshot-x"), gone}, Remove, "snapshot-x", true},
		"a volume's folder":   {false, []func(*v1.VolumeSnapshotContent){handle("h/pvc-x"), gone}, Rest, "", true},
		"a path":              {false, []func(*v1.VolumeSnapshotContent){handle("h/snapshot-x/.."), gone}, Rest, "", true},
		"a path upwards":      {false, []func(*v1.VolumeSnapshotContent){handle("h/../x"), gone}, Rest, "", true},
		"nothing":             {false, []func(*v1.VolumeSnapshotContent){handle("h"), gone}, Rest, "", true},
		"a snapshot's no UID": {false, []func(*v1.VolumeSnapshotContent){func(c *v1.VolumeSnapshotContent) { c.Spec.VolumeSnapshotRef.UID = "" }}, Rest, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			it := content(c.ready)
			for _, f := range c.change {
				f(it)
			}
			if step, folder, _ := Local(it, "h"); step != c.step || folder != c.folder {
				t.Errorf("step %d in %q, want %d in %q", step, folder, c.step, c.folder)
			}
			if step, _, _ := Local(it, ""); step != Rest {
				t.Errorf("a node without a name does %d", step)
			}
			if freed := Content(it, []string{"other"}); (freed != nil) != c.freed || freed != nil && len(freed.Finalizers) > 0 {
				t.Errorf("without its node: %+v", freed)
			}
		})
	}
	bare := content(false)
	bare.Finalizers = nil
	if c := Content(bare, nil); c == nil || len(c.Finalizers) != 1 || c.Finalizers[0] != ContentFinalizer {
		t.Errorf("unprotected: %+v", c)
	}
}

func TestSecret(t *testing.T) {
	for name, c := range map[string]struct{ name, namespace, want string }{
		"as they are": {"n", "ns", "ns/n"},
		"resolved":    {"${volumesnapshotcontent.name}-${volumesnapshot.namespace}-${volumesnapshot.name}", "of-${volumesnapshot.namespace}", "of-ns/snapcontent-u-ns-s"},
		"the user names no namespace": {
			"n", "${volumesnapshot.name}",
			`error resolving value "${volumesnapshot.name}": invalid tokens: ["volumesnapshot.name"]`,
		},
		"unknown":          {"${b}${a}${b}", "ns", `error resolving value "${b}${a}${b}": invalid tokens: ["a" "b"]`},
		"not closed":       {"a${b", "ns", `"a${b" is not a valid secret name`},
		"no name":          {"a_b", "ns", `"a_b" is not a valid secret name`},
		"resolves to none": {"n", "${volumesnapshot.namespace}.", `"${volumesnapshot.namespace}." resolved to "ns." which is not a valid namespace name`},
		"empty":            {"", "ns", "failed to get name and namespace template from params: Snapshotter secrets specified in parameters but value of either namespace or name is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			switch is, err := secretOf(&v1.VolumeSnapshotClass{Parameters: map[string]string{secretName: c.name, secretNamespace: c.namespace}}, "snapcontent-u", world().Snapshot); {
			case err != nil:
				got = err.Error()
			default:
				got = is[DeletionSecretSpace] + "/" + is[DeletionSecret]
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if is, err := secretOf(&v1.VolumeSnapshotClass{}, "c", world().Snapshot); is != nil || err != nil {
		t.Errorf("none: %v %v", is, err)
	}
}

// A driver's volume has its snapshots taken and removed by the driver's sidecar,
// and by nobody else.
func TestOfDrivers(t *testing.T) {
	s := world()
	s.Claim.Finalizers = []string{ClaimFinalizer}
	s.Volume.Annotations = nil
	s.Volume.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "vol-1"}}
	s.Classes[0].Driver = "d"
	plan := Snapshot(s)
	if c := plan.Create; c == nil || *c.Spec.Source.VolumeHandle != "vol-1" || c.Spec.Driver != "d" || c.Annotations != nil {
		t.Errorf("%s\n%+v", describe(plan), c)
	}
	s.Classes[0].Driver = planvolume.LocalProvisioner
	if got := describe(Snapshot(s)); !strings.Contains(got, "VolumeSnapshotClass k is of driver berth.dev/local, volume pvc-cu of d") {
		t.Error(got)
	}
	gone := content(true)
	gone.Spec.Driver, gone.Spec.Source.VolumeHandle = "d", ptr.To("vol-1")
	gone.DeletionTimestamp, gone.Annotations = ptr.To(metav1.Unix(2000, 0)), map[string]string{BeingDeleted: "yes"}
	if step, _, _ := Local(gone, "h"); step != Rest || Content(gone, nil) != nil {
		t.Errorf("a node does %d, the control plane %+v", step, Content(gone, nil))
	}
}
