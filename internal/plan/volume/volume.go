package volume

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// Volume decides on one volume.
func Volume(s VolumeState) VolumePlan {
	ref := s.Volume.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		return s.phase(corev1.VolumeAvailable)
	}
	claim := s.Claim
	if claim != nil && claim.UID != ref.UID {
		claim = nil // another claim took the name
	}
	switch {
	case claim == nil:
		return s.released()
	case claim.Spec.VolumeName == "":
		if volume.CheckVolumeModeMismatches(&claim.Spec, &s.Volume.Spec) {
			return VolumePlan{Events: []Event{{corev1.EventTypeWarning, "VolumeMismatch", fmt.Sprintf(
				"Cannot bind PersistentVolume to requested PersistentVolumeClaim %q due to incompatible volumeMode.", claim.Name)}}}
		}
		return VolumePlan{} // the claim finishes the binding
	case claim.Spec.VolumeName == s.Volume.Name:
		return s.phase(corev1.VolumeBound)
	}
	// The claim went to another volume.
	if metav1.HasAnnotation(s.Volume.ObjectMeta, volume.AnnDynamicallyProvisioned) &&
		s.Volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		return s.released()
	}
	return s.unbind()
}

// released is a volume whose claim is gone: its policy says what comes next.
func (s VolumeState) released() VolumePlan {
	var plan VolumePlan
	if p := s.Volume.Status.Phase; p != corev1.VolumeReleased && p != corev1.VolumeFailed {
		plan = s.phase(corev1.VolumeReleased)
	}
	switch s.Volume.Spec.PersistentVolumeReclaimPolicy {
	case corev1.PersistentVolumeReclaimDelete:
		// Released is written first: the node removes data only of a volume
		// that says so.
		mine := s.Volume.Annotations[volume.AnnDynamicallyProvisioned] == LocalProvisioner
		plan.Delete = mine && plan.Status == nil && s.Volume.DeletionTimestamp == nil
	case corev1.PersistentVolumeReclaimRecycle:
		if s.Volume.Status.Phase != corev1.VolumeFailed {
			plan = s.phase(corev1.VolumeFailed)
			plan.Status.Message = "No recycler plugin found for the volume!"
			plan.Events = append(plan.Events, Event{corev1.EventTypeWarning, "VolumeFailedRecycle", plan.Status.Message})
		}
	}
	return plan
}

// unbind lets the volume go: a binding of ours is undone, one by a user is kept
// without the claim's UID.
func (s VolumeState) unbind() VolumePlan {
	pv := s.Volume.DeepCopy()
	if metav1.HasAnnotation(pv.ObjectMeta, volume.AnnBoundByController) {
		pv.Spec.ClaimRef = nil
		delete(pv.Annotations, volume.AnnBoundByController)
	} else {
		pv.Spec.ClaimRef.UID = ""
	}
	plan := s.phase(corev1.VolumeAvailable)
	plan.Volume = pv
	return plan
}

func (s VolumeState) phase(want corev1.PersistentVolumePhase) VolumePlan {
	if s.Volume.Status.Phase == want {
		return VolumePlan{}
	}
	status := s.Volume.Status.DeepCopy()
	status.Phase, status.Message, status.Reason = want, "", ""
	return VolumePlan{Status: status}
}
