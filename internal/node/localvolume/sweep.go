package localvolume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
)

// sweep removes the halves of copies that a killed process left and that nobody
// asks for any more: what they were to become was deleted without us. Those that
// are asked for begin anew, over what is there.
func (r *janitor) sweep() {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.Log.Warn("looking for unfinished copies", "error", err)
		}
		return
	}
	for _, e := range entries {
		name, dotted := strings.CutPrefix(e.Name(), ".")
		name, half := strings.CutSuffix(name, ".copy")
		if !dotted || !half || r.isWanted(name) {
			continue
		}
		if err := remove(filepath.Join(r.Dir, e.Name())); err != nil {
			r.Log.Warn("an unfinished copy of no use stays", "name", e.Name(), "error", err)
		}
	}
}

// isWanted tells whether a folder is, or may be, that of a volume or a snapshot.
func (r *janitor) isWanted(name string) bool {
	if of, ok := strings.CutPrefix(name, volumesnapshot.FolderPrefix); ok {
		if r.contents == nil {
			return true
		}
		for _, o := range r.contents.List() {
			if c, ok := typed(o); !ok || string(c.Spec.VolumeSnapshotRef.UID) == of {
				return true
			}
		}
		return false
	}
	if !strings.HasPrefix(name, volume.LocalPrefix) {
		return true // not ours
	}
	_, found, err := r.store.GetByKey(name)
	return found || err != nil
}
