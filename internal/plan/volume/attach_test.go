package volume

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

const inUse = corev1.UniqueVolumeName("kubernetes.io/csi/d^h")

func drivenPV(modes ...corev1.PersistentVolumeAccessMode) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: corev1.PersistentVolumeSpec{
		AccessModes:            modes,
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h"}},
	}}
}

func on(node string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "on-" + node}, Spec: corev1.PodSpec{NodeName: node}}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func attachedTo(node string) *storagev1.VolumeAttachment {
	return &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: AttachmentName("d", "h", node)},
		Spec:       storagev1.VolumeAttachmentSpec{Attacher: "d", NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new("pv")}},
		Status:     storagev1.VolumeAttachmentStatus{Attached: true},
	}
}

func attaching(name string, ready bool, use bool, taints ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}}
	if use {
		n.Status.VolumesInUse = []corev1.UniqueVolumeName{inUse}
	}
	status := corev1.ConditionUnknown
	if ready {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	for _, key := range taints {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	return n
}

func nodesOf(list ...*corev1.Node) map[string]*corev1.Node {
	out := map[string]*corev1.Node{}
	for _, n := range list {
		out[n.Name] = n
	}
	return out
}

// said is a plan in one line.
func said(p AttachPlan) string {
	var out []string
	for _, a := range p.Attach {
		out = append(out, "attach to "+a.Spec.NodeName)
	}
	for _, d := range p.Detach {
		word := "detach from "
		if d.Force {
			word = "take from "
		}
		out = append(out, word+d.Attachment.Spec.NodeName)
	}
	for _, e := range p.Refused {
		out = append(out, e.Pod.Name+": "+e.Message)
	}
	if p.Again > 0 {
		out = append(out, "again in "+p.Again.String())
	}
	return strings.Join(out, "; ")
}

func TestAttach(t *testing.T) {
	now := time.Unix(1e9, 0)
	ended := func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	ending := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }
	runs := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	once := corev1.ReadWriteOnce
	pods := func(list ...*corev1.Pod) []*corev1.Pod { return list }
	at := func(list ...*storagev1.VolumeAttachment) []*storagev1.VolumeAttachment { return list }
	long := map[string]time.Time{"a": now.Add(-UnmountPatience)}
	going := attachedTo("a")
	going.DeletionTimestamp = &metav1.Time{Time: now}
	others := attachedTo("a")
	others.Name = "by-hand"
	no := &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{AttachRequired: new(false)}}
	const taken = `on-b: Multi-Attach error for volume "pv" Volume is already `
	for _, c := range []struct {
		name string
		s    AttachState
		want string
	}{
		{"a pod wants it", AttachState{Pods: pods(on("a")), Nodes: nodesOf(attaching("a", true, false))}, "attach to a"},
		{"it is there", AttachState{Pods: pods(on("a")), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, true))}, ""},
		{"a pod without a node", AttachState{Pods: pods(on("")), Nodes: nodesOf(attaching("a", true, false))}, ""},
		{"a node that attaches itself", AttachState{Pods: pods(on("a")), Nodes: nodesOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}})}, ""},
		{"a driver that does not attach", AttachState{Driver: no, Pods: pods(on("a")), Nodes: nodesOf(attaching("a", true, false))}, ""},
		{"and did once", AttachState{Driver: no, Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, false))}, "detach from a"},
		{"a pod that has ended", AttachState{Pods: pods(on("a", ended)), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, false))}, "detach from a"},
		{"a pod that ends", AttachState{Pods: pods(on("a", ending, runs)), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, false))}, ""},
		{"one that runs no more", AttachState{Pods: pods(on("a", ending)), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, false))}, "detach from a"},
		{"still mounted", AttachState{Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, true))}, "again in 6m0s"},
		{"mounted for long", AttachState{Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, true)), Unwanted: long}, "again in 1s"},
		{"on a node that is away", AttachState{Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", false, true))}, "again in 6m0s"},
		{"for long", AttachState{Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", false, true)), Unwanted: long}, "take from a"},
		{"that is said to be off", AttachState{Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", false, true, corev1.TaintNodeOutOfService))}, "take from a"},
		{"on a node that is gone", AttachState{Attachments: at(attachedTo("a"))}, "again in 6m0s"},
		{"gone for long", AttachState{Attachments: at(attachedTo("a")), Unwanted: long}, "take from a"},
		{"being detached", AttachState{Attachments: at(going), Nodes: nodesOf(attaching("a", true, false))}, ""},
		{"somebody else's", AttachState{Attachments: at(others), Nodes: nodesOf(attaching("a", true, false))}, ""},
		{"used elsewhere", AttachState{Pods: pods(on("a"), on("b")), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, true), attaching("b", true, false))}, taken + "used by pod(s) on-a"},
		{"left elsewhere", AttachState{
			Pods: pods(on("b")), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, true), attaching("b", true, false)),
		}, taken + "exclusively attached to one node and can't be attached to another; again in 6m0s"},
		{"two at once", AttachState{Pods: pods(on("a"), on("b")), Nodes: nodesOf(attaching("a", true, false), attaching("b", true, false))}, "attach to a; " + taken + "used by pod(s) on-a"},
		{"shared", AttachState{
			Volume: drivenPV(once, corev1.ReadWriteMany), Pods: pods(on("a"), on("b")), Attachments: at(attachedTo("a")), Nodes: nodesOf(attaching("a", true, true), attaching("b", true, false)),
		}, "attach to b"},
	} {
		if c.s.Volume == nil {
			c.s.Volume = drivenPV(once)
		}
		c.s.Now = now
		if got := said(Attach(c.s)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Whatever happens, a volume for one node is never attached to a second one while
// it is attached to the first, and is never taken from a node that is well and
// uses it, or that a pod runs on.
func TestAttachIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1e9, 0)
		s := AttachState{Volume: drivenPV(corev1.ReadWriteOnce), Nodes: map[string]*corev1.Node{}, Unwanted: map[string]time.Time{}, Now: now}
		for _, name := range []string{"a", "b", "c"} {
			yes := func(what string) bool { return rapid.Bool().Draw(t, what+" "+name) }
			if yes("node") {
				s.Nodes[name] = attaching(name, yes("ready"), yes("in use"))
			}
			if yes("pod") {
				s.Pods = append(s.Pods, on(name))
			}
			if yes("attached") {
				s.Attachments = append(s.Attachments, attachedTo(name))
			}
			if yes("unwanted") {
				s.Unwanted[name] = now.Add(-time.Duration(rapid.IntRange(0, 700).Draw(t, "for")) * time.Second)
			}
		}
		plan := Attach(s)
		if len(plan.Attach) > 0 && len(plan.Attach)+len(s.Attachments) > 1 {
			t.Fatalf("attached twice: %s", said(plan))
		}
		for _, d := range plan.Detach {
			node := s.Nodes[d.Attachment.Spec.NodeName]
			if slices.ContainsFunc(s.Pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == d.Attachment.Spec.NodeName }) {
				t.Fatal("taken from a pod")
			}
			if node != nil && slices.Contains(node.Status.VolumesInUse, inUse) && node.Status.Conditions[0].Status == corev1.ConditionTrue {
				t.Fatal("taken from a node that uses it")
			}
		}
	})
}

func TestAttached(t *testing.T) {
	handle := func(wanted bool) func(*storagev1.VolumeAttachment) (string, bool) {
		return func(*storagev1.VolumeAttachment) (string, bool) { return "h", wanted }
	}
	going, failed := attachedTo("a"), attachedTo("a")
	going.DeletionTimestamp, failed.Status.Attached = &metav1.Time{}, false
	for i, c := range []struct {
		use, wanted bool
		a           *storagev1.VolumeAttachment
		want        int
	}{
		{true, false, attachedTo("a"), 1},
		{false, true, attachedTo("a"), 1},
		{false, false, attachedTo("a"), 0},
		{true, true, going, 0},
		{true, true, failed, 0},
	} {
		got := Attached(attaching("a", true, c.use), []*storagev1.VolumeAttachment{c.a}, handle(c.wanted))
		if len(got) != c.want || c.want == 1 && got[0].Name != inUse {
			t.Errorf("case %d: %v", i, got)
		}
	}
}

func TestNamesOfDrivers(t *testing.T) {
	// Attachers find attachments by these names: they are what upstream's sums come to.
	if got := AttachmentName("hostpath.csi.k8s.io", "h", "n"); got != fmt.Sprintf("csi-%s", CSIStaging("hhostpath.csi.k8s.ion")) || len(got) != 68 {
		t.Error(got)
	}
	if got := InlineHandle("uid", "name"); got != "csi-"+CSIStaging("uidname") {
		t.Error(got)
	}
}

func TestNodeGivesGroup(t *testing.T) {
	once, many := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	with := func(p storagev1.FSGroupPolicy) *storagev1.CSIDriver {
		return &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{FSGroupPolicy: &p}}
	}
	for i, c := range []struct {
		d        *storagev1.CSIDriver
		fsType   string
		modes    []corev1.PersistentVolumeAccessMode
		readOnly bool
		want     bool
	}{
		{with(storagev1.NoneFSGroupPolicy), "ext4", once, false, false},
		{with(storagev1.FileFSGroupPolicy), "", many, true, true},
		{nil, "ext4", once, false, true},
		{nil, "", once, false, false},
		{nil, "ext4", many, false, false},
		{nil, "ext4", once, true, false},
	} {
		if got := NodeGivesGroup(c.d, c.fsType, c.modes, c.readOnly); got != c.want {
			t.Errorf("case %d: %v", i, got)
		}
	}
}

func TestNodeGrows(t *testing.T) {
	for step, want := range map[corev1.ClaimResourceStatus]bool{
		"": true, corev1.PersistentVolumeClaimNodeResizePending: true, corev1.PersistentVolumeClaimNodeResizeInProgress: true,
		corev1.PersistentVolumeClaimControllerResizeInProgress: false, corev1.PersistentVolumeClaimNodeResizeInfeasible: false,
	} {
		claim, pv := &corev1.PersistentVolumeClaim{}, drivenPV()
		claim.Status.Phase = corev1.ClaimBound
		claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		claim.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{corev1.ResourceStorage: step}
		pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
		if size, got := NodeGrows(claim, pv); got != want || size.String() != "2Gi" {
			t.Errorf("%q: %v %s", step, got, size.String())
		}
		claim.Status.Capacity = pv.Spec.Capacity
		if _, got := NodeGrows(claim, pv); got {
			t.Errorf("%q: grows though it has", step)
		}
	}
}
