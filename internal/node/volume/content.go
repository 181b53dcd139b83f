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
		return v.projected(ctx, pod, vol.Projected, path)
	}
	return files, time.Time{}, err
}

// projected joins several sources; a later one wins where names collide.
func (v *Volumes) projected(ctx context.Context, pod *corev1.Pod, p *corev1.ProjectedVolumeSource, path string) (map[string]file, time.Time, error) {
	files := map[string]file{}
	var again time.Time
	for _, s := range p.Sources {
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
				files[s.ServiceAccountToken.Path] = tokenFile(pod, t, mode(p.DefaultMode))
				if again.IsZero() || t.renew.Before(again) {
					again = t.renew
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
