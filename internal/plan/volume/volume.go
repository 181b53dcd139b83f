package volume

import (
	"fmt"
	"strings"

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
			return VolumePlan{
				Events: []Event{{corev1.EventTypeWarning, "VolumeMismatch", fmt.Sprintf(
					"Cannot bind PersistentVolume to requested PersistentVolumeClaim %q due to incompatible volumeMode.", claim.Name)}},
				ClaimEvents: []Event{{corev1.EventTypeWarning, "VolumeMismatch", fmt.Sprintf(
					"Cannot bind PersistentVolume %q to requested PersistentVolumeClaim due to incompatible volumeMode.", s.Volume.Name)}},
			}
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
		by := s.Volume.Annotations[volume.AnnDynamicallyProvisioned]
		switch {
		case BuiltIn(by):
			plan.Delete = plan.Status == nil && s.Volume.DeletionTimestamp == nil
		case by != "" && !strings.HasPrefix(by, "kubernetes.io/"):
			// Whoever made it deletes it.
		case s.Volume.DeletionTimestamp == nil:
			plan.fail(s, "VolumeFailedDelete", undeletable(s.Volume, by))
		}
	case corev1.PersistentVolumeReclaimRecycle:
		plan.fail(s, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
	}
	return plan
}

// fail says once why a volume cannot be reclaimed.
func (p *VolumePlan) fail(s VolumeState, reason, message string) {
	if s.Volume.Status.Phase == corev1.VolumeFailed {
		return
	}
	*p = s.phase(corev1.VolumeFailed)
	p.Status.Message = message
	p.Events = append(p.Events, Event{corev1.EventTypeWarning, reason, message})
}

// undeletable is why a volume that a user made, or a plugin that is not there,
// is not deleted. Nothing is ever deleted that Berth did not make, so neither
// is a folder below /tmp, as upstream's hostPath plugin would.
func undeletable(pv *corev1.PersistentVolume, by string) string {
	if host := pv.Spec.HostPath; host != nil && by == "" && !strings.HasPrefix(host.Path, "/tmp/") {
		return "host_path deleter only supports /tmp/.+ but received provided " + host.Path
	}
	if by != "" {
		return "no deletable volume plugin matched"
	}
	return fmt.Sprintf("error getting deleter volume plugin for volume %q: no deletable volume plugin matched", pv.Name)
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
