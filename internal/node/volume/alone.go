package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// alone keeps a second pod away from a volume that only one may use. The
// scheduler does so too, but not for pods that it did not place. A note in the
// pod's directory says who uses a volume, so that a restart does not forget it.
type alone struct {
	mu      sync.Mutex
	waiting map[string]map[types.UID]bool // by the volume's name
}

var errInUse = errors.New("volume uses the ReadWriteOncePod access mode and is already in use by another pod")

func onePodOnly(pv *corev1.PersistentVolume) bool {
	return slices.Equal(pv.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod})
}

func (v *Volumes) aloneNote(uid types.UID, name string) string {
	return filepath.Join(v.PodDir(uid), "plugins", "berth.dev~alone", name)
}

// takeAlone gives the volume to the pod unless another has it.
func (v *Volumes) takeAlone(uid types.UID, name string) error {
	v.alone.mu.Lock()
	defer v.alone.mu.Unlock()
	mine := v.aloneNote(uid, name)
	users, err := filepath.Glob(v.aloneNote("*", name))
	if err != nil {
		return err
	}
	if slices.ContainsFunc(users, func(note string) bool { return note != mine }) {
		if v.alone.waiting == nil {
			v.alone.waiting = map[string]map[types.UID]bool{}
		}
		if v.alone.waiting[name] == nil {
			v.alone.waiting[name] = map[types.UID]bool{}
		}
		v.alone.waiting[name][uid] = true
		return errInUse
	}
	if err := os.MkdirAll(filepath.Dir(mine), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(mine, nil, 0o640); err != nil {
		return fmt.Errorf("note that the pod uses volume %s: %w", name, err)
	}
	return nil
}

// hasAlone are the volumes that only this pod uses.
func (v *Volumes) hasAlone(uid types.UID) []string {
	notes, _ := filepath.Glob(v.aloneNote(uid, "*"))
	for i := range notes {
		notes[i] = filepath.Base(notes[i])
	}
	return notes
}

// freeAlone lets pods try again that waited for these volumes.
func (v *Volumes) freeAlone(volumes []string) {
	var wake []types.UID
	v.alone.mu.Lock()
	for _, name := range volumes {
		for uid := range v.alone.waiting[name] {
			wake = append(wake, uid)
		}
		delete(v.alone.waiting, name)
	}
	v.alone.mu.Unlock()
	if v.cfg.Changed == nil {
		return
	}
	for _, uid := range wake {
		v.cfg.Changed(uid)
	}
}
