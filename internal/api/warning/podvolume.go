package warning

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volume warns about sources that nothing mounts any more.
func (w *list) volume(p *field.Path, v *corev1.Volume) {
	for _, old := range []struct {
		used bool
		name string
		hint string
	}{
		{v.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
		{v.GitRepo != nil, "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
		{v.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
		{v.Flocker != nil, "flocker", "deprecated in v1.22, non-functional in v1.25+"},
		{v.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Quobyte != nil, "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
		{v.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
		{v.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if old.used {
			w.say("%s: %s", p.Child(old.name), old.hint)
		}
	}
	if e := v.Ephemeral; e != nil && e.VolumeClaimTemplate != nil {
		w.claim(p.Child("ephemeral", "volumeClaimTemplate", "spec"), &e.VolumeClaimTemplate.Spec)
	}
}

// target is a file that a volume will hold, and where it comes from.
type target struct{ path, source string }

func (t target) String() string {
	if t.source == "" {
		return fmt.Sprintf("%q", t.path)
	}
	return fmt.Sprintf("%q (%s)", t.path, t.source)
}

// overlaps says whether one of the files would be the other, or lie in it.
func (t target) overlaps(o target) bool {
	return t.path != "" && o.path != "" &&
		(strings.HasPrefix(o.path+"/", t.path+"/") || strings.HasPrefix(t.path+"/", o.path+"/"))
}

// overlappingPaths warns about files of a volume that are in each other's way.
func (w *list) overlappingPaths(v *corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		w.overlaps(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), keys(v.ConfigMap.Items, ""))
	case v.Secret != nil:
		w.overlaps(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), keys(v.Secret.Items, ""))
	case v.DownwardAPI != nil:
		w.overlaps(v.Name, "DownwardAPI", downward(v.DownwardAPI.Items, ""))
	case v.Projected != nil:
		var all []target
		for _, s := range v.Projected.Sources {
			if s == (corev1.VolumeProjection{}) {
				w.say("volume %q (Projected) has no sources provided", v.Name)
			}
			all = append(all, projected(&s)...)
		}
		w.overlaps(v.Name, "Projected", all)
	}
}

func (w *list) overlaps(volume, what string, files []target) {
	for i := range files {
		files[i].path = strings.TrimRight(files[i].path, "/")
		for _, earlier := range files[:i] {
			if files[i].overlaps(earlier) {
				w.say("volume %q (%s): overlapping paths: %s with %s", volume, what, files[i], earlier)
			}
		}
	}
}

func keys(items []corev1.KeyToPath, source string) []target {
	var out []target
	for _, item := range items {
		out = append(out, target{item.Path, source})
	}
	return out
}

func downward(items []corev1.DownwardAPIVolumeFile, source string) []target {
	var out []target
	for _, item := range items {
		out = append(out, target{item.Path, source})
	}
	return out
}

func projected(s *corev1.VolumeProjection) []target {
	switch {
	case s.ConfigMap != nil:
		return keys(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil:
		return keys(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil:
		return downward(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []target{{s.ServiceAccountToken.Path, "ServiceAccountToken"}}
	case s.ClusterTrustBundle != nil:
		name := ""
		if b := s.ClusterTrustBundle; b.Name != nil {
			name = *b.Name
		} else if b.SignerName != nil {
			name = *b.SignerName
		}
		return []target{{s.ClusterTrustBundle.Path, fmt.Sprintf("ClusterTrustBundle %q", name)}}
	case s.PodCertificate != nil:
		c := s.PodCertificate
		return []target{
			{c.CertificateChainPath, "PodCertificate chain"},
			{c.KeyPath, "PodCertificate key"},
			{c.CredentialBundlePath, "PodCertificate credential bundle"},
		}
	}
	return nil
}
