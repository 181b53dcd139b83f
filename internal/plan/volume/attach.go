package volume

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UnmountPatience is how long a node that is not ready has to give up a volume
// before it is taken from it, as upstream.
const UnmountPatience = 6 * time.Minute

// keepEnded on a node says that volumes of pods that have ended stay attached.
const keepEnded = "volumes.kubernetes.io/keep-terminated-pod-volumes"

// AttachState is what a decision about the attachments of one volume looks at.
type AttachState struct {
	Volume *corev1.PersistentVolume
	Driver *storagev1.CSIDriver // nil when the driver has no object
	// Pods use the volume's claim.
	Pods []*corev1.Pod
	// Attachments are those of the volume.
	Attachments []*storagev1.VolumeAttachment
	// Nodes are those of pods and attachments; what is missing is gone.
	Nodes map[string]*corev1.Node
	// Unwanted is since when nobody wants the volume on a node, as far as that is remembered.
	Unwanted map[string]time.Time
	Now      time.Time
}

// AttachPlan is what has to be done.
type AttachPlan struct {
	Attach []*storagev1.VolumeAttachment
	// Detach are attachments that no node uses.
	Detach []Detachment
	// Unwanted are the nodes on which nobody wants the volume.
	Unwanted []string
	// Again is when to look again; 0 is when something changes.
	Again time.Duration
	// Refused are pods whose node cannot have the volume, and why.
	Refused []PodEvent
}

// Detachment is one attachment that has to go.
type Detachment struct {
	Attachment *storagev1.VolumeAttachment
	// Force says that the node does not answer, and is not asked.
	Force bool
}

// PodEvent is an event about a pod.
type PodEvent struct {
	Pod *corev1.Pod
	Event
}

// Attach decides where a driver's volume is to be attached. It is attached to
// the nodes of the pods that use it, to one of them only unless it may be shared,
// and taken from the others once they have said that they do not use it.
func Attach(s AttachState) AttachPlan {
	var plan AttachPlan
	csi := s.Volume.Spec.CSI
	if csi == nil {
		return plan
	}
	wanted := s.wanted()
	for _, a := range s.Attachments {
		if a.Name != AttachmentName(a.Spec.Attacher, csi.VolumeHandle, a.Spec.NodeName) || len(wanted[a.Spec.NodeName]) > 0 {
			continue // somebody else's, or in use
		}
		plan.Unwanted = append(plan.Unwanted, a.Spec.NodeName)
		if a.DeletionTimestamp != nil {
			continue
		}
		since, known := s.Unwanted[a.Spec.NodeName]
		if !known {
			since = s.Now
		}
		left := since.Add(UnmountPatience).Sub(s.Now)
		switch safe, force := s.mayDetach(a, left); {
		case safe:
			plan.Detach = append(plan.Detach, Detachment{a, force})
		case plan.Again == 0 || left > 0 && left < plan.Again:
			plan.Again = max(left, time.Second)
		}
	}
	if !AttachRequired(s.Driver) {
		return plan
	}
	for _, name := range sorted(wanted) {
		if slices.ContainsFunc(s.Attachments, func(a *storagev1.VolumeAttachment) bool { return a.Spec.NodeName == name }) || !managed(s.Nodes[name]) {
			continue
		}
		if others := s.elsewhere(name, plan.Attach); s.exclusive() && others {
			plan.Refused = append(plan.Refused, s.refuse(name, wanted)...)
			continue
		}
		plan.Attach = append(plan.Attach, &storagev1.VolumeAttachment{
			ObjectMeta: metav1.ObjectMeta{Name: AttachmentName(csi.Driver, csi.VolumeHandle, name)},
			Spec: storagev1.VolumeAttachmentSpec{
				Attacher: csi.Driver, NodeName: name,
				Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &s.Volume.Name},
			},
		})
	}
	return plan
}

// Since is since when nobody wants a volume on these nodes: now, unless that is
// known of before.
func Since(nodes []string, before map[string]time.Time, now time.Time) map[string]time.Time {
	since := map[string]time.Time{}
	for _, node := range nodes {
		if since[node] = now; !before[node].IsZero() {
			since[node] = before[node]
		}
	}
	return since
}

// wanted are the pods that want the volume, by their nodes.
func (s AttachState) wanted() map[string][]*corev1.Pod {
	wanted := map[string][]*corev1.Pod{}
	for _, pod := range s.Pods {
		if on := pod.Spec.NodeName; on != "" && WantsVolumes(pod, s.Nodes[on]) {
			wanted[on] = append(wanted[on], pod)
		}
	}
	return wanted
}

// WantsVolumes says whether a pod may still use its volumes.
func WantsVolumes(pod *corev1.Pod, node *corev1.Node) bool {
	ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	if !ended && pod.DeletionTimestamp != nil {
		ended = !slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
			return c.State.Terminated == nil && c.State.Waiting == nil
		})
	}
	return !ended || node != nil && node.Annotations[keepEnded] == "true"
}

// managed says whether the control plane attaches volumes to the node.
func managed(node *corev1.Node) bool {
	return node != nil && node.Annotations["volumes.kubernetes.io/controller-managed-attach-detach"] == "true"
}

// mayDetach says whether a volume can be taken from a node that does not want it.
// A node that is gone may be a machine that still runs: it gets the same time as
// one that does not answer.
func (s AttachState) mayDetach(a *storagev1.VolumeAttachment, left time.Duration) (safe, force bool) {
	node := s.Nodes[a.Spec.NodeName]
	if node == nil {
		return left <= 0, true
	}
	if !slices.Contains(node.Status.VolumesInUse, CSIName(a.Spec.Attacher, s.Volume.Spec.CSI.VolumeHandle)) {
		return true, false
	}
	return isDown(node) || !isReady(node) && left <= 0, true
}

// IsLost says whether volumes may be taken from a node though it says that it uses
// them, after some time or at once.
func IsLost(node *corev1.Node) bool { return isDown(node) || !isReady(node) }

// isDown is a node of which somebody who knows says that it is off.
func isDown(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// exclusive says whether one node at a time may have the volume.
func (s AttachState) exclusive() bool {
	modes := s.Volume.Spec.AccessModes
	return len(modes) > 0 && !slices.Contains(modes, corev1.ReadWriteMany) && !slices.Contains(modes, corev1.ReadOnlyMany)
}

func (s AttachState) elsewhere(node string, more []*storagev1.VolumeAttachment) bool {
	other := func(a *storagev1.VolumeAttachment) bool { return a.Spec.NodeName != node }
	return slices.ContainsFunc(s.Attachments, other) || slices.ContainsFunc(more, other)
}

// refuse tells the pods of a node who has the volume, in upstream's words.
func (s AttachState) refuse(node string, wanted map[string][]*corev1.Pod) []PodEvent {
	var names []string
	for _, other := range sorted(wanted) {
		if other == node {
			continue
		}
		for _, pod := range wanted[other] {
			names = append(names, pod.Name)
		}
	}
	why := "Volume is already exclusively attached to one node and can't be attached to another"
	if len(names) > 0 {
		why = "Volume is already used by pod(s) " + strings.Join(names, ", ")
	}
	var out []PodEvent
	for _, pod := range wanted[node] {
		out = append(out, PodEvent{pod, Event{
			corev1.EventTypeWarning, "FailedAttachVolume", fmt.Sprintf("Multi-Attach error for volume %q %s", s.Volume.Name, why),
		}})
	}
	return out
}

func sorted(wanted map[string][]*corev1.Pod) []string {
	var names []string
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Attached are the volumes that a node may use: attached, and wanted or in use
// there. What is about to be detached is not among them, so a node that reads
// this after it has said what it uses does not begin with it.
func Attached(node *corev1.Node, attachments []*storagev1.VolumeAttachment, handle func(*storagev1.VolumeAttachment) (handle string, wanted bool)) []corev1.AttachedVolume {
	var out []corev1.AttachedVolume
	for _, a := range attachments {
		id, wanted := handle(a)
		name := CSIName(a.Spec.Attacher, id)
		if !a.Status.Attached || a.DeletionTimestamp != nil || id == "" || a.Name != AttachmentName(a.Spec.Attacher, id, node.Name) {
			continue
		}
		if wanted || slices.Contains(node.Status.VolumesInUse, name) {
			out = append(out, corev1.AttachedVolume{Name: name})
		}
	}
	slices.SortFunc(out, func(a, b corev1.AttachedVolume) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out
}
