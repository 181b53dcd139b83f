package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const notInline = "may not be specified in the context of inline volumes"

// InlineVolume checks the volume that an attachment carries itself.
func (f *findings) InlineVolume(p *field.Path, s *corev1.PersistentVolumeSpec) {
	if s.ClaimRef != nil {
		f.forbidden(p.Child("claimRef"), notInline)
	}
	if len(s.Capacity) != 0 {
		f.forbidden(p.Child("capacity"), notInline)
	}
	if s.CSI == nil {
		f.required(p.Child("csi"), "has to be specified in the context of inline volumes")
	}
	if len(s.AccessModes) == 0 {
		f.required(p.Child("accessModes"), "")
	}
	f.accessModes(p.Child("accessModes"), s.AccessModes)
	reclaim := s.PersistentVolumeReclaimPolicy
	if reclaim != "" && reclaim != corev1.PersistentVolumeReclaimRetain {
		f.forbidden(p.Child("persistentVolumeReclaimPolicy"), "may only be Retain in the context of inline volumes")
	}
	if s.NodeAffinity != nil {
		f.forbidden(p.Child("nodeAffinity"), notInline)
	}
	anywhere := *s
	anywhere.NodeAffinity = nil
	f.volumeSource(p, &corev1.PersistentVolume{Spec: anywhere})
	f.recycledRoot(p, s)
	if s.StorageClassName != "" {
		f.forbidden(p.Child("storageClassName"), notInline)
	}
	if m := s.VolumeMode; m != nil && *m != corev1.PersistentVolumeFilesystem {
		f.forbidden(p.Child("volumeMode"), "may not specify volumeMode other than Filesystem in the context of inline volumes")
	}
	f.attributesClass(p, s)
}
