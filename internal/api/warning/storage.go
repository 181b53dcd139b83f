package warning

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PersistentVolumeClaim warns about a claim.
func PersistentVolumeClaim(c *corev1.PersistentVolumeClaim) []string {
	var w list
	w.oldAnnotation(c.Annotations, corev1.BetaStorageClassAnnotation, `deprecated since v1.8; use "storageClassName" attribute instead`)
	w.claim(field.NewPath("spec"), &c.Spec)
	return w
}

func (w *list) claim(p *field.Path, s *corev1.PersistentVolumeClaimSpec) {
	w.fraction(p.Child("resources", "requests"), s.Resources.Requests, corev1.ResourceStorage)
	w.fraction(p.Child("resources", "limits"), s.Resources.Limits, corev1.ResourceStorage)
}

func (w *list) oldAnnotation(annotations map[string]string, key, hint string) {
	if _, ok := annotations[key]; ok {
		w.say("%s: %s", field.NewPath("metadata", "annotations").Key(key), hint)
	}
}

// PersistentVolume warns about a volume.
func PersistentVolume(v *corev1.PersistentVolume) []string {
	var w list
	w.oldAnnotation(v.Annotations, corev1.BetaStorageClassAnnotation, `deprecated since v1.8; use "storageClassName" attribute instead`)
	w.oldAnnotation(v.Annotations, "volume.beta.kubernetes.io/mount-options", `deprecated since v1.31; use "mountOptions" attribute instead`)
	s := &v.Spec
	if s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		w.say("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	}
	if a := s.NodeAffinity; a != nil && a.Required != nil {
		p := field.NewPath("spec", "nodeAffinity", "required", "nodeSelectorTerms")
		for i := range a.Required.NodeSelectorTerms {
			w.nodeTerm(p.Index(i), &a.Required.NodeSelectorTerms[i], false)
		}
	}
	w.volume(field.NewPath("spec"), &corev1.Volume{VolumeSource: corev1.VolumeSource{
		PhotonPersistentDisk: s.PhotonPersistentDisk, CephFS: has[corev1.CephFSVolumeSource](s.CephFS != nil),
		ScaleIO: has[corev1.ScaleIOVolumeSource](s.ScaleIO != nil), StorageOS: has[corev1.StorageOSVolumeSource](s.StorageOS != nil),
		Glusterfs: has[corev1.GlusterfsVolumeSource](s.Glusterfs != nil), RBD: has[corev1.RBDVolumeSource](s.RBD != nil),
	}})
	return w
}

func has[T any](is bool) *T {
	if !is {
		return nil
	}
	return new(T)
}
