package volume

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// Claim decides on one claim.
func Claim(s ClaimState) ClaimPlan {
	if metav1.HasAnnotation(s.Claim.ObjectMeta, volume.AnnBindCompleted) {
		return boundClaim(s)
	}
	return newClaim(s)
}

// newClaim finds a volume for a claim that never had one.
func newClaim(s ClaimState) ClaimPlan {
	if s.Claim.Spec.VolumeName != "" {
		return claimByName(s)
	}
	if s.Claim.DeletionTimestamp != nil {
		return pending(s.Claim)
	}
	if plan, ok := withDefaultClass(s); ok {
		return plan
	}
	delayed := s.Class != nil && s.Class.VolumeBindingMode != nil &&
		*s.Class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	if pv := match(s.Claim, s.Volumes, delayed); pv != nil {
		return bind(s.Claim, pv)
	}
	plan := pending(s.Claim)
	if BeginsAsCopy(s.Claim) && s.Class != nil && s.Class.Provisioner == LocalProvisioner {
		return plan // a copy waits for no pod; its provisioner tells how it goes
	}
	selected := metav1.HasAnnotation(s.Claim.ObjectMeta, volume.AnnSelectedNode)
	switch {
	case delayed && !selected && len(s.Pods) == 1:
		plan.say(corev1.EventTypeNormal, "WaitForPodScheduled", "waiting for pod "+s.Pods[0]+" to be scheduled")
	case delayed && !selected && len(s.Pods) > 1:
		plan.say(corev1.EventTypeNormal, "WaitForPodScheduled", "waiting for pods "+strings.Join(s.Pods, ",")+" to be scheduled")
	case delayed && !selected:
		plan.say(corev1.EventTypeNormal, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
	case volume.GetPersistentVolumeClaimClass(s.Claim) != "":
		plan.askProvisioner(s)
	default:
		plan.say(corev1.EventTypeNormal, "FailedBinding",
			"no persistent volumes available for this claim and no storage class is set")
	}
	return plan
}

// withDefaultClass gives the default class to a claim that left its class open.
func withDefaultClass(s ClaimState) (ClaimPlan, bool) {
	if s.Default == nil || s.Claim.Spec.StorageClassName != nil ||
		metav1.HasAnnotation(s.Claim.ObjectMeta, corev1.BetaStorageClassAnnotation) {
		return ClaimPlan{}, false
	}
	claim := s.Claim.DeepCopy()
	claim.Spec.StorageClassName = &s.Default.Name
	return ClaimPlan{Claim: claim}, true
}

// askProvisioner leaves the claim to whoever makes volumes of its class.
func (p *ClaimPlan) askProvisioner(s ClaimState) {
	name := volume.GetPersistentVolumeClaimClass(s.Claim)
	if s.Class == nil {
		p.say(corev1.EventTypeWarning, "ProvisioningFailed", fmt.Sprintf("storageclass.storage.k8s.io %q not found", name))
		return
	}
	by := s.Class.Provisioner
	switch {
	case BuiltIn(by):
		return // in this process; it watches the claim itself
	case strings.HasPrefix(by, "kubernetes.io/"):
		p.say(corev1.EventTypeWarning, "ProvisioningFailed", "no volume plugin matched name: "+by)
		return
	}
	if s.Claim.Annotations[annProvisioner] != by {
		p.Claim = s.Claim.DeepCopy()
		metav1.SetMetaDataAnnotation(&p.Claim.ObjectMeta, annProvisioner, by)
		metav1.SetMetaDataAnnotation(&p.Claim.ObjectMeta, annBetaProvisioner, by)
	}
	p.say(corev1.EventTypeNormal, "ExternalProvisioning", "Waiting for a volume to be created either by the external provisioner '"+by+
		"' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.")
}

// claimByName binds a claim to the volume its user, or a crash, left in it.
func claimByName(s ClaimState) ClaimPlan {
	pv := named(s.Volumes, s.Claim.Spec.VolumeName)
	switch {
	case pv == nil:
		return pending(s.Claim)
	case pv.Spec.ClaimRef == nil:
		if why := misfit(s.Claim, pv); why != "" {
			plan := pending(s.Claim)
			plan.say(corev1.EventTypeWarning, "VolumeMismatch",
				fmt.Sprintf("Cannot bind to requested volume %q: %s", pv.Name, why))
			return plan
		}
		return bind(s.Claim, pv)
	case volume.IsVolumeBoundToClaim(pv, s.Claim):
		return bind(s.Claim, pv)
	}
	plan := pending(s.Claim)
	plan.say(corev1.EventTypeWarning, "FailedBinding",
		fmt.Sprintf("volume %q already bound to a different claim.", pv.Name))
	return plan
}

// boundClaim keeps a binding, or says that it is lost.
func boundClaim(s ClaimState) ClaimPlan {
	if s.Claim.Spec.VolumeName == "" {
		return lost(s.Claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
	}
	pv := named(s.Volumes, s.Claim.Spec.VolumeName)
	switch {
	case pv == nil:
		return lost(s.Claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	case pv.Spec.ClaimRef == nil, pv.Spec.ClaimRef.UID == s.Claim.UID:
		return bind(s.Claim, pv)
	}
	return lost(s.Claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
}

func named(volumes []*corev1.PersistentVolume, name string) *corev1.PersistentVolume {
	for _, pv := range volumes {
		if pv.Name == name {
			return pv
		}
	}
	return nil
}

func (p *ClaimPlan) say(eventType, reason, message string) {
	p.Events = append(p.Events, Event{eventType, reason, message})
}
