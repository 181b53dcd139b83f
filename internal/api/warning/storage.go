package warning

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// StorageClass warns about a storage class.
func StorageClass(c *storagev1.StorageClass) []string {
	var w list
	for i, t := range c.AllowedTopologies {
		p := field.NewPath("allowedTopologies").Index(i).Child("matchLabelExpressions")
		for j, e := range t.MatchLabelExpressions {
			if hint, ok := oldNodeLabels[e.Key]; ok {
				w.say("%s: %s", p.Index(j).Child("key"), hint)
			}
		}
	}
	return w
}

// NodeLabels warns about labels of nodes that a selector should no longer name.
func NodeLabels(s *metav1.LabelSelector, p *field.Path) []string {
	var w list
	if s == nil {
		return nil
	}
	for i, e := range s.MatchExpressions {
		if hint, ok := oldNodeLabels[e.Key]; ok {
			w.say("%s: %s is %s", p.Child("matchExpressions").Index(i).Child("key"), e.Key, hint)
		}
	}
	for _, key := range sortedKeys(s.MatchLabels) {
		if hint, ok := oldNodeLabels[key]; ok {
			w.say("%s: %s", p.Child("matchLabels").Child(key), hint)
		}
	}
	return w
}
