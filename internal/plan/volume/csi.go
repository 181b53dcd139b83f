package volume

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

// CSIName is how the status of a node names a volume of a driver.
func CSIName(driver, handle string) corev1.UniqueVolumeName {
	return corev1.UniqueVolumeName("kubernetes.io/csi/" + driver + "^" + handle)
}

// AttachmentName is the name of the VolumeAttachment of a volume on a node, as
// upstream makes it up: node and control plane find it without a search.
func AttachmentName(driver, handle, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(handle+driver+node)))
}

// InlineHandle is what a driver calls a volume that a pod describes itself.
func InlineHandle(pod types.UID, name string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(string(pod)+name)))
}

// CSIStaging is the folder below the drivers' that a volume is prepared in.
func CSIStaging(handle string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(handle))) }

// AttachRequired says whether volumes of a driver are attached before a node uses
// them. A driver that has no object of its own is thought to need that.
func AttachRequired(d *storagev1.CSIDriver) bool {
	return d == nil || d.Spec.AttachRequired == nil || *d.Spec.AttachRequired
}

// Supports says whether a driver's volumes may be used in a way.
func Supports(d *storagev1.CSIDriver, mode storagev1.VolumeLifecycleMode) error {
	if mode == storagev1.VolumeLifecyclePersistent && (d == nil || len(d.Spec.VolumeLifecycleModes) == 0) {
		return nil
	}
	if d == nil {
		return fmt.Errorf("volume mode %q not supported by driver (no CSIDriver object)", mode)
	}
	if !slices.Contains(d.Spec.VolumeLifecycleModes, mode) {
		return fmt.Errorf("volume mode %q not supported by driver %s (only supports %q)", mode, d.Name, d.Spec.VolumeLifecycleModes)
	}
	return nil
}

// NodeGivesGroup says whether the node gives the files of a volume to the pod's
// fsGroup: the driver's object says so, or leaves it to whether that can be right.
func NodeGivesGroup(d *storagev1.CSIDriver, fsType string, modes []corev1.PersistentVolumeAccessMode, readOnly bool) bool {
	policy := storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy
	if d != nil && d.Spec.FSGroupPolicy != nil && *d.Spec.FSGroupPolicy != "" {
		policy = *d.Spec.FSGroupPolicy
	}
	switch policy {
	case storagev1.NoneFSGroupPolicy:
		return false
	case storagev1.FileFSGroupPolicy:
		return true
	}
	return fsType != "" && !readOnly &&
		(slices.Contains(modes, corev1.ReadWriteOnce) || slices.Contains(modes, corev1.ReadWriteOncePod))
}

// PodInfo is what a driver is told of a pod when it asks for that.
func PodInfo(d *storagev1.CSIDriver, pod *corev1.Pod, ephemeral bool) map[string]string {
	if d == nil || d.Spec.PodInfoOnMount == nil || !*d.Spec.PodInfoOnMount {
		return nil
	}
	return map[string]string{
		"csi.storage.k8s.io/pod.name":            pod.Name,
		"csi.storage.k8s.io/pod.namespace":       pod.Namespace,
		"csi.storage.k8s.io/pod.uid":             string(pod.UID),
		"csi.storage.k8s.io/serviceAccount.name": pod.Spec.ServiceAccountName,
		"csi.storage.k8s.io/ephemeral":           strconv.FormatBool(ephemeral),
	}
}

// NodeGrows says whether a node has to make a driver's volume larger, and how
// large: its driver has made room that the claim does not show yet.
func NodeGrows(claim *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) (resource.Quantity, bool) {
	has, shows := pv.Spec.Capacity[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	switch claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage] {
	case corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
		corev1.PersistentVolumeClaimNodeResizeInfeasible:
		return has, false
	}
	return has, has.Cmp(shows) > 0 && claim.Status.Phase == corev1.ClaimBound
}
