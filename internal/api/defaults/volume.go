package defaults

import (
	corev1 "k8s.io/api/core/v1"
)

// fileMode is the mode of files that come from secrets, config maps and the like.
const fileMode int32 = 0o644

func volume(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		return
	}
	if s := v.Image; s != nil && s.PullPolicy == "" {
		s.PullPolicy = pullPolicy(s.Reference)
	}
	if s := v.HostPath; s != nil {
		hostPath(s)
	}
	if s := v.Secret; s != nil {
		mode(&s.DefaultMode)
	}
	if s := v.ConfigMap; s != nil {
		mode(&s.DefaultMode)
	}
	if s := v.DownwardAPI; s != nil {
		mode(&s.DefaultMode)
		downward(s.Items)
	}
	if s := v.Projected; s != nil {
		mode(&s.DefaultMode)
		for i := range s.Sources {
			projection(&s.Sources[i])
		}
	}
	if s := v.Ephemeral; s != nil && s.VolumeClaimTemplate != nil {
		claimSpec(&s.VolumeClaimTemplate.Spec)
	}
	legacyVolume(v)
}

func legacyVolume(v *corev1.Volume) {
	if s := v.ISCSI; s != nil {
		text(&s.ISCSIInterface, "default")
	}
	if s := v.RBD; s != nil {
		text(&s.RBDPool, "rbd")
		text(&s.RadosUser, "admin")
		text(&s.Keyring, "/etc/ceph/keyring")
	}
	if s := v.AzureDisk; s != nil {
		azureDisk(s)
	}
	if s := v.ScaleIO; s != nil {
		text(&s.StorageMode, "ThinProvisioned")
		text(&s.FSType, "xfs")
	}
}

func azureDisk(s *corev1.AzureDiskVolumeSource) {
	if s.CachingMode == nil {
		s.CachingMode = new(corev1.AzureDataDiskCachingReadWrite)
	}
	if s.FSType == nil {
		s.FSType = new("ext4")
	}
	if s.ReadOnly == nil {
		s.ReadOnly = new(false)
	}
	if s.Kind == nil {
		s.Kind = new(corev1.AzureSharedBlobDisk)
	}
}

func projection(p *corev1.VolumeProjection) {
	if d := p.DownwardAPI; d != nil {
		downward(d.Items)
	}
	if t := p.ServiceAccountToken; t != nil && t.ExpirationSeconds == nil {
		t.ExpirationSeconds = new(int64(3600))
	}
}

func downward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if f := items[i].FieldRef; f != nil {
			fieldRef(f)
		}
	}
}

func hostPath(s *corev1.HostPathVolumeSource) {
	if s.Type == nil {
		s.Type = new(corev1.HostPathUnset)
	}
}

func mode(m **int32) {
	if *m == nil {
		*m = new(fileMode)
	}
}

func text(s *string, value string) {
	if *s == "" {
		*s = value
	}
}
