package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// content makes a volume whose files we write: configMap, secret, downwardAPI
// or projected. All but ConfigMaps are kept in memory only.
func (v *Volumes) content(ctx context.Context, pod *corev1.Pod, vol corev1.Volume) (string, error) {
	path := v.path(pod.UID, contentPlugin(vol), vol.Name)
	files, again, err := v.files(ctx, pod, vol, path)
	if err != nil {
		return "", err
	}
	if err := makeDir(path, 0o777); err != nil {
		return "", err
	}
	if vol.ConfigMap == nil && !isMountPoint(path) {
		if err := mountTmpfs(path, v.memorySize(pod, nil)); err != nil {
			return "", err
		}
	}
	group := fsGroup(pod)
	if group != nil && !belongs(path, *group, groupRead) {
		if err := setGroup(path, group, nil, false); err != nil {
			return "", err
		}
	}
	if _, err := writeAtomic(path, files, group, v.cfg.Clock.Now()); err != nil {
		return "", err
	}
	if !again.IsZero() {
		v.queue.AddAfter(pod.UID, again.Sub(v.cfg.Clock.Now()))
	}
	return path, nil
}

func contentPlugin(vol corev1.Volume) string {
	switch {
	case vol.ConfigMap != nil:
		return "configmap"
	case vol.Secret != nil:
		return "secret"
	case vol.DownwardAPI != nil:
		return "downward-api"
	}
	return "projected"
}

// files is what the volume at path shall show, and when to look again.
func (v *Volumes) files(ctx context.Context, pod *corev1.Pod, vol corev1.Volume, path string) (map[string]file, time.Time, error) {
	files := map[string]file{}
	var err error
	switch {
	case vol.ConfigMap != nil:
		s := vol.ConfigMap
		err = v.addObject(ctx, files, ref{"configmap", pod.Namespace, s.Name}, s.Items, mode(s.DefaultMode), optional(s.Optional))
	case vol.Secret != nil:
		s := vol.Secret
		err = v.addObject(ctx, files, ref{"secret", pod.Namespace, s.SecretName}, s.Items, mode(s.DefaultMode), optional(s.Optional))
	case vol.DownwardAPI != nil:
		err = v.addDownward(files, pod, vol.DownwardAPI.Items, mode(vol.DownwardAPI.DefaultMode))
	default:
		return v.projected(ctx, pod, vol, path)
	}
	return files, time.Time{}, err
}

// projected joins several sources; a later one wins where names collide.
func (v *Volumes) projected(ctx context.Context, pod *corev1.Pod, vol corev1.Volume, path string) (map[string]file, time.Time, error) {
	p, files := vol.Projected, map[string]file{}
	var again time.Time
	sooner := func(t time.Time) {
		if again.IsZero() || t.Before(again) {
			again = t
		}
	}
	for i, s := range p.Sources {
		var err error
		switch {
		case s.Secret != nil:
			err = v.addObject(ctx, files, ref{"secret", pod.Namespace, s.Secret.Name}, s.Secret.Items, mode(p.DefaultMode), optional(s.Secret.Optional))
		case s.ConfigMap != nil:
			err = v.addObject(ctx, files, ref{"configmap", pod.Namespace, s.ConfigMap.Name}, s.ConfigMap.Items, mode(p.DefaultMode), optional(s.ConfigMap.Optional))
		case s.DownwardAPI != nil:
			err = v.addDownward(files, pod, s.DownwardAPI.Items, mode(p.DefaultMode))
		case s.ServiceAccountToken != nil:
			var t token
			if t, err = v.token(ctx, pod, s.ServiceAccountToken, path); err == nil {
				files[s.ServiceAccountToken.Path] = guarded(pod, []byte(t.text), mode(p.DefaultMode))
				sooner(t.renew)
			}
		case s.ClusterTrustBundle != nil:
			var anchors []byte
			if anchors, err = v.anchors(ctx, s.ClusterTrustBundle); err == nil {
				files[filepath.Clean(s.ClusterTrustBundle.Path)] = guarded(pod, anchors, mode(p.DefaultMode))
			}
		case s.PodCertificate != nil:
			var c *credential
			if c, err = v.certificate(ctx, pod, place{vol.Name, i}, s.PodCertificate, path); err == nil {
				addCertificate(files, pod, s.PodCertificate, c, mode(p.DefaultMode))
				if c.asked == (ref{}) { // else its answer wakes us
					sooner(c.renew)
				}
			}
		default:
			err = fmt.Errorf("a projected source is of a kind that this node does not know")
		}
		if err != nil {
			return nil, again, err
		}
	}
	return files, again, nil
}

// addCertificate adds the files that a podCertificate source names.
func addCertificate(files map[string]file, pod *corev1.Pod, s *corev1.PodCertificateProjection, c *credential, mode os.FileMode) {
	for path, data := range map[string][]byte{
		s.CredentialBundlePath: slices.Concat(c.key, c.chain), s.KeyPath: c.key, s.CertificateChainPath: c.chain,
	} {
		if path != "" {
			files[filepath.Clean(path)] = guarded(pod, data, mode)
		}
	}
}

// addObject adds the keys of a ConfigMap or Secret: all, or those in items.
func (v *Volumes) addObject(ctx context.Context, files map[string]file, r ref, items []corev1.KeyToPath, mode os.FileMode, optional bool) error {
	patience := v.cfg.missingWait
	if optional {
		patience = 0
	}
	found, err := v.follows.get(ctx, r, v.cfg.syncWait, patience)
	if apierrors.IsNotFound(err) && optional {
		return nil
	}
	if err != nil {
		return err
	}
	if len(items) == 0 {
		for key, data := range found.data {
			files[key] = file{data: data, mode: mode}
		}
		return nil
	}
	for _, item := range items {
		data, ok := found.data[item.Key]
		if !ok {
			if optional {
				continue
			}
			kind := "config"
			if r.kind == "secret" {
				kind = "secret"
			}
			return fmt.Errorf("references non-existent %s key: %s", kind, item.Key)
		}
		m := mode
		if item.Mode != nil {
			m = fileMode(*item.Mode)
		}
		files[filepath.Clean(item.Path)] = file{data: data, mode: m}
	}
	return nil
}

// references lists the objects that the volumes show.
func references(namespace string, volumes []corev1.Volume) []ref {
	var refs []ref
	add := func(kind, name string) {
		if r := (ref{kind, namespace, name}); !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	for _, vol := range volumes {
		switch {
		case vol.ConfigMap != nil:
			add("configmap", vol.ConfigMap.Name)
		case vol.Secret != nil:
			add("secret", vol.Secret.SecretName)
		case vol.Projected != nil:
			for _, s := range vol.Projected.Sources {
				if s.ConfigMap != nil {
					add("configmap", s.ConfigMap.Name)
				}
				if s.Secret != nil {
					add("secret", s.Secret.Name)
				}
				if s.ClusterTrustBundle != nil {
					if r := trustRef(s.ClusterTrustBundle); !slices.Contains(refs, r) {
						refs = append(refs, r)
					}
				}
			}
		}
	}
	return refs
}

func optional(o *bool) bool { return o != nil && *o }

// mode is the default mode of a volume's files.
func mode(m *int32) os.FileMode {
	if m == nil {
		return 0o644
	}
	return fileMode(*m)
}

func fileMode(m int32) os.FileMode { return os.FileMode(m).Perm() }
