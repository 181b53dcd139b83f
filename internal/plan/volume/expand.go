package volume

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// LocalGrowing on a volume of the local provisioner is the capacity it had
// before it was told to grow, under upstream's name. Its node takes it away
// when the volume has grown.
const LocalGrowing = "volume.alpha.kubernetes.io/pre-resize-capacity"

// ExpandState is what a decision about a growing claim looks at.
type ExpandState struct {
	Claim *corev1.PersistentVolumeClaim
	// Volume is the claim's volume, nil when there is none.
	Volume *corev1.PersistentVolume
	Now    time.Time
}

// ExpandPlan is what has to be written; nil means that nothing changes.
type ExpandPlan struct {
	// Volume is written first.
	Volume *corev1.PersistentVolume
	Status *corev1.PersistentVolumeClaimStatus
	Events []Event
}

// Expand makes a volume of the local provisioner as large as its claim asks.
//
// The claim says Resizing and how large it becomes; then the volume gets that
// capacity and LocalGrowing, and the claim says FileSystemResizePending; the
// node grows what there is and takes LocalGrowing away; then the claim has its
// new capacity. Each step is decided from what the former wrote, so it goes on
// after a crash. A claim that asks for less in between gets what was begun.
func Expand(s ExpandState) ExpandPlan {
	claim, pv := s.Claim, s.Volume
	if pv == nil || pv.Annotations[volume.AnnDynamicallyProvisioned] != LocalProvisioner ||
		claim.Status.Phase != corev1.ClaimBound || pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID != claim.UID {
		return ExpandPlan{}
	}
	wanted, had := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	target, has := claim.Status.AllocatedResources[corev1.ResourceStorage], pv.Spec.Capacity[corev1.ResourceStorage]
	switch step := claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage]; step {
	case "":
		if wanted.Cmp(had) <= 0 {
			return ExpandPlan{}
		}
		return s.announce(wanted)
	case corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimNodeResizePending:
		if has.Cmp(target) < 0 {
			return s.enlarge(target)
		}
		if step == corev1.PersistentVolumeClaimControllerResizeInProgress {
			return s.pending()
		}
		if !metav1.HasAnnotation(pv.ObjectMeta, LocalGrowing) {
			return s.finish(has)
		}
	}
	return ExpandPlan{}
}

// ExpandsElsewhere says whether a claim asks for more room that somebody else has to
// make: the resizer of a storage driver, or nobody.
func ExpandsElsewhere(claim *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) bool {
	if pv.Annotations[volume.AnnDynamicallyProvisioned] == LocalProvisioner ||
		claim.Status.Phase != corev1.ClaimBound || pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID != claim.UID {
		return false
	}
	wanted, had := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	return wanted.Cmp(had) > 0
}

func (s ExpandState) announce(target resource.Quantity) ExpandPlan {
	status := s.Claim.Status.DeepCopy()
	status.AllocatedResources = with(status.AllocatedResources, target)
	setStep(status, corev1.PersistentVolumeClaimControllerResizeInProgress)
	status.Conditions = append(withoutResize(status.Conditions), corev1.PersistentVolumeClaimCondition{
		Type: corev1.PersistentVolumeClaimResizing, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(s.Now),
	})
	return ExpandPlan{Status: status, Events: []Event{{
		corev1.EventTypeNormal, "Resizing", "External resizer is resizing volume " + s.Volume.Name,
	}}}
}

func (s ExpandState) enlarge(target resource.Quantity) ExpandPlan {
	pv := s.Volume.DeepCopy()
	if had := pv.Spec.Capacity[corev1.ResourceStorage]; !metav1.HasAnnotation(pv.ObjectMeta, LocalGrowing) {
		metav1.SetMetaDataAnnotation(&pv.ObjectMeta, LocalGrowing, had.String())
	}
	pv.Spec.Capacity = with(pv.Spec.Capacity, target)
	plan := s.pending()
	plan.Volume = pv
	return plan
}

func (s ExpandState) pending() ExpandPlan {
	if s.Claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage] == corev1.PersistentVolumeClaimNodeResizePending {
		return ExpandPlan{}
	}
	status := s.Claim.Status.DeepCopy()
	setStep(status, corev1.PersistentVolumeClaimNodeResizePending)
	status.Conditions = append(status.Conditions, corev1.PersistentVolumeClaimCondition{
		Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(s.Now),
		Message: "Waiting for user to (re-)start a pod to finish file system resize of volume on node.",
	})
	return ExpandPlan{Status: status, Events: []Event{{
		corev1.EventTypeNormal, "FileSystemResizeRequired", "Require file system resize of volume on node",
	}}}
}

func (s ExpandState) finish(size resource.Quantity) ExpandPlan {
	status := s.Claim.Status.DeepCopy()
	status.Capacity = with(status.Capacity, size)
	setStep(status, "")
	status.Conditions = withoutResize(status.Conditions)
	message := fmt.Sprintf("MountVolume.NodeExpandVolume succeeded for volume %q", s.Volume.Name)
	if hosts := LocalHosts(s.Volume); len(hosts) > 0 {
		message += " " + hosts[0]
	}
	return ExpandPlan{Status: status, Events: []Event{{corev1.EventTypeNormal, "FileSystemResizeSuccessful", message}}}
}

func with(list corev1.ResourceList, size resource.Quantity) corev1.ResourceList {
	out := list.DeepCopy()
	if out == nil {
		out = corev1.ResourceList{}
	}
	out[corev1.ResourceStorage] = size
	return out
}

func setStep(status *corev1.PersistentVolumeClaimStatus, step corev1.ClaimResourceStatus) {
	delete(status.AllocatedResourceStatuses, corev1.ResourceStorage)
	if step != "" {
		if status.AllocatedResourceStatuses == nil {
			status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{}
		}
		status.AllocatedResourceStatuses[corev1.ResourceStorage] = step
	}
	if len(status.AllocatedResourceStatuses) == 0 {
		status.AllocatedResourceStatuses = nil
	}
}

func withoutResize(conditions []corev1.PersistentVolumeClaimCondition) []corev1.PersistentVolumeClaimCondition {
	return slices.DeleteFunc(slices.Clone(conditions), func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == corev1.PersistentVolumeClaimResizing || c.Type == corev1.PersistentVolumeClaimFileSystemResizePending
	})
}

// LocalMustGrow tells the node to make room for a volume that became larger.
func LocalMustGrow(pv *corev1.PersistentVolume) bool {
	return pv.DeletionTimestamp == nil && metav1.HasAnnotation(pv.ObjectMeta, LocalGrowing) &&
		!metav1.HasAnnotation(pv.ObjectMeta, LocalBegin)
}
