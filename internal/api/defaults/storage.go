package defaults

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// PersistentVolumeClaim fills a claim.
func PersistentVolumeClaim(c *corev1.PersistentVolumeClaim) {
	if c.Status.Phase == "" {
		c.Status.Phase = corev1.ClaimPending
	}
	claimSpec(&c.Spec)
	resourceList(c.Status.Capacity)
	resourceList(c.Status.AllocatedResources)
}

func claimSpec(s *corev1.PersistentVolumeClaimSpec) {
	if s.VolumeMode == nil {
		s.VolumeMode = new(corev1.PersistentVolumeFilesystem)
	}
	resourceList(s.Resources.Limits)
	resourceList(s.Resources.Requests)
}

// PersistentVolume fills a volume.
func PersistentVolume(v *corev1.PersistentVolume) {
	if v.Status.Phase == "" {
		v.Status.Phase = corev1.VolumePending
	}
	if v.Spec.PersistentVolumeReclaimPolicy == "" {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	}
	if v.Spec.VolumeMode == nil {
		v.Spec.VolumeMode = new(corev1.PersistentVolumeFilesystem)
	}
	PersistentVolumeSpec(&v.Spec)
}

// PersistentVolumeSpec fills what an attached volume has too.
func PersistentVolumeSpec(spec *corev1.PersistentVolumeSpec) {
	resourceList(spec.Capacity)
	if s := spec.HostPath; s != nil {
		hostPath(s)
	}
	if s := spec.ISCSI; s != nil {
		text(&s.ISCSIInterface, "default")
	}
	if s := spec.RBD; s != nil {
		text(&s.RBDPool, "rbd")
		text(&s.RadosUser, "admin")
		text(&s.Keyring, "/etc/ceph/keyring")
	}
	if s := spec.AzureDisk; s != nil {
		azureDisk(s)
	}
	if s := spec.ScaleIO; s != nil {
		text(&s.StorageMode, "ThinProvisioned")
		text(&s.FSType, "xfs")
	}
}

// StorageClass fills a storage class.
func StorageClass(c *storagev1.StorageClass) {
	if c.ReclaimPolicy == nil {
		c.ReclaimPolicy = new(corev1.PersistentVolumeReclaimDelete)
	}
	if c.VolumeBindingMode == nil {
		c.VolumeBindingMode = new(storagev1.VolumeBindingImmediate)
	}
}
