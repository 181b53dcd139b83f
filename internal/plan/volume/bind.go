package volume

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// bind writes the names of claim and volume into each other, as far as they
// are not there yet.
func bind(claim *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) ClaimPlan {
	var plan ClaimPlan
	ref := pv.Spec.ClaimRef
	if ref == nil || ref.UID != claim.UID || ref.Name != claim.Name || ref.Namespace != claim.Namespace {
		plan.Volume = pv.DeepCopy()
		if !volume.IsVolumeBoundToClaim(pv, claim) {
			metav1.SetMetaDataAnnotation(&plan.Volume.ObjectMeta, volume.AnnBoundByController, "yes")
		}
		plan.Volume.Spec.ClaimRef = Reference(claim)
	}
	completed := metav1.HasAnnotation(claim.ObjectMeta, volume.AnnBindCompleted)
	if claim.Spec.VolumeName != pv.Name || !completed {
		plan.Claim = claim.DeepCopy()
		if claim.Spec.VolumeName != pv.Name {
			plan.Claim.Spec.VolumeName = pv.Name
			metav1.SetMetaDataAnnotation(&plan.Claim.ObjectMeta, volume.AnnBoundByController, "yes")
		}
		metav1.SetMetaDataAnnotation(&plan.Claim.ObjectMeta, volume.AnnBindCompleted, "yes")
	}
	status := claim.Status.DeepCopy()
	status.Phase = corev1.ClaimBound
	status.AccessModes = pv.Spec.AccessModes
	if size, ok := pv.Spec.Capacity[corev1.ResourceStorage]; ok && claim.Status.Phase != corev1.ClaimBound {
		status.Capacity = maps.Clone(status.Capacity)
		if status.Capacity == nil {
			status.Capacity = corev1.ResourceList{}
		}
		status.Capacity[corev1.ResourceStorage] = size
	}
	if !equality.Semantic.DeepEqual(*status, claim.Status) {
		plan.Status = status
	}
	return plan
}

// Reference is how a volume names its claim.
func Reference(claim *corev1.PersistentVolumeClaim) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name,
		UID: claim.UID, ResourceVersion: claim.ResourceVersion,
	}
}

// pending is the plan that only makes sure the claim says Pending.
func pending(claim *corev1.PersistentVolumeClaim) ClaimPlan {
	return phase(claim, corev1.ClaimPending)
}

func phase(claim *corev1.PersistentVolumeClaim, want corev1.PersistentVolumeClaimPhase) ClaimPlan {
	if claim.Status.Phase == want && len(claim.Status.AccessModes) == 0 && len(claim.Status.Capacity) == 0 {
		return ClaimPlan{}
	}
	status := claim.Status.DeepCopy()
	status.Phase, status.AccessModes, status.Capacity = want, nil, nil
	return ClaimPlan{Status: status}
}

// lost is said once, when the phase changes.
func lost(claim *corev1.PersistentVolumeClaim, reason, message string) ClaimPlan {
	plan := phase(claim, corev1.ClaimLost)
	if claim.Status.Phase != corev1.ClaimLost {
		plan.say(corev1.EventTypeWarning, reason, message)
	}
	return plan
}

// match is the volume that is already reserved for the claim, else the
// smallest that fits; of two of one size the one with fewer access modes.
func match(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume, delayed bool) *corev1.PersistentVolume {
	fitting := make([]*corev1.PersistentVolume, 0, len(volumes))
	for _, pv := range volumes {
		mayGet := pv.Spec.ClaimRef == nil && !delayed || pv.Spec.ClaimRef != nil && volume.IsVolumeBoundToClaim(pv, claim)
		if _, copying := LocalCopyOf(pv); copying {
			continue // half a copy is no volume
		}
		if mayGet && volume.CheckAccessModes(claim, pv) {
			fitting = append(fitting, pv)
		}
	}
	slices.SortFunc(fitting, func(a, b *corev1.PersistentVolume) int {
		if d := len(a.Spec.AccessModes) - len(b.Spec.AccessModes); d != 0 {
			return d
		}
		x, y := a.Spec.Capacity[corev1.ResourceStorage], b.Spec.Capacity[corev1.ResourceStorage]
		if d := x.Cmp(y); d != 0 {
			return d
		}
		return compare(a.Name, b.Name)
	})
	// Groups of one set of modes, the narrowest first, as upstream's index has them.
	for start := 0; start < len(fitting); {
		end := start + 1
		for end < len(fitting) && len(fitting[end].Spec.AccessModes) == len(fitting[start].Spec.AccessModes) {
			end++
		}
		if pv, err := volume.FindMatchingVolume(claim, fitting[start:end], nil, nil, delayed, true); err == nil && pv != nil {
			return pv
		}
		start = end
	}
	return nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// misfit is why the volume that a claim asks for by name cannot be its volume.
func misfit(claim *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	want, have := claim.Spec.Resources.Requests[corev1.ResourceStorage], pv.Spec.Capacity[corev1.ResourceStorage]
	switch {
	case have.Cmp(want) < 0:
		return "requested PV is too small"
	case volume.GetPersistentVolumeClass(pv) != volume.GetPersistentVolumeClaimClass(claim):
		return "storageClassName does not match"
	case attributesClass(claim.Spec.VolumeAttributesClassName) != attributesClass(pv.Spec.VolumeAttributesClassName):
		return "VolumeAttributesClassName does not match"
	case volume.CheckVolumeModeMismatches(&claim.Spec, &pv.Spec):
		return "incompatible volumeMode"
	case !volume.CheckAccessModes(claim, pv):
		return "incompatible accessMode"
	}
	return ""
}

func attributesClass(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}
