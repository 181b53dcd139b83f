package volume

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/loopdev"
	"berth.dev/berth/internal/plan/volume"
)

// blockFile is what a provisioned block volume keeps its blocks in, in its
// directory: a sparse file that a loop device shows.
const blockFile = volume.LocalBlocks

// block makes a provisioned block volume, if it is not there yet, and shows it
// as a device. A note in the pod's directory says that the pod uses the device:
// the last pod's end takes it down.
func (v *Volumes) block(ctx context.Context, pod *corev1.Pod, pv *corev1.PersistentVolume) (string, error) {
	v.blocks.Lock()
	defer v.blocks.Unlock()
	path := filepath.Join(pv.Spec.Local.Path, blockFile)
	if err := v.begin(ctx, pv, path, func() error { return makeBlocks(pv, path) }); err != nil {
		return "", err
	}
	file, err := loopdev.Of(path)
	if err != nil {
		return "", err
	}
	note, err := json.Marshal(file)
	if err != nil {
		return "", err
	}
	where := v.deviceNote(pod.UID, pv.Name)
	if err := os.MkdirAll(filepath.Dir(where), 0o750); err != nil {
		return "", err
	}
	if err := os.WriteFile(where, note, 0o640); err != nil {
		return "", err
	}
	return loopdev.Attach(path)
}

func makeBlocks(pv *corev1.PersistentVolume, path string) error {
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(path)), 0o711); err != nil {
		return err
	}
	if err := makeDir(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Under another name first: killed in between, it would have no size.
	tmp := path + ".new"
	capacity := pv.Spec.Capacity[corev1.ResourceStorage]
	if err := os.WriteFile(tmp, nil, 0o600); err != nil {
		return err
	}
	if err := loopdev.Resize(tmp, capacity.Value()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// deviceNote is the file that says which device a pod uses.
func (v *Volumes) deviceNote(uid types.UID, name string) string {
	return filepath.Join(v.PodDir(uid), "plugins", "kubernetes.io~"+localPlugin, name, "device")
}

// releaseBlocks takes down the devices that no other pod uses.
func (v *Volumes) releaseBlocks(uid types.UID) error {
	mine, err := filepath.Glob(v.deviceNote(uid, "*"))
	if err != nil || len(mine) == 0 {
		return err
	}
	v.blocks.Lock()
	defer v.blocks.Unlock()
	all, err := filepath.Glob(v.deviceNote("*", "*"))
	if err != nil {
		return err
	}
	users := map[loopdev.File]int{}
	files := map[string]loopdev.File{}
	for _, note := range all {
		var f loopdev.File
		// A note that was begun and not written is of a device that was not made.
		if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &f) == nil {
			files[note] = f
			users[f]++
		}
	}
	var problems []error
	for _, note := range mine {
		f, known := files[note]
		if known && users[f] == 1 {
			if err := loopdev.Detach(f); err != nil {
				problems = append(problems, err)
				continue
			}
		}
		problems = append(problems, os.Remove(note))
	}
	return errors.Join(problems...)
}

// DetachBlocks takes down the devices of all provisioned volumes in a directory.
func DetachBlocks(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*", blockFile))
	problems := []error{err}
	for _, path := range paths {
		f, err := loopdev.Of(path)
		if err == nil {
			err = loopdev.Detach(f)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
