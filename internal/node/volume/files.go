package volume

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/disk"
)

// Files says how the files in a volume are measured, as upstream measures them.
type Files struct {
	Path string
	// Whole is set when all that is used of its file system is the volume's; of
	// others the files are counted.
	Whole bool
	// Driven is set for what the storage driver has to be asked for.
	Driven bool
	// Claim is the claim that the volume is of, if any.
	Claim string
	// Ephemeral is true for what counts as the pod's own use of the node's disk.
	Ephemeral bool
}

// Folder is what is to be measured.
func (f Files) Folder() disk.Folder {
	return disk.Folder{Path: f.Path, Count: !f.Whole && !f.Driven, Driven: f.Driven}
}

// Files are the volumes of a pod that can be measured, by name. A hostPath is
// the node's, and an image the runtime's.
func (v *Volumes) Files(uid types.UID) map[string]Files {
	v.mu.Lock()
	defer v.mu.Unlock()
	if st := v.pods[uid]; st != nil {
		return maps.Clone(st.files)
	}
	return nil
}

// noteOwn remembers a volume that is the pod's own.
func (v *Volumes) noteOwn(uid types.UID, vol corev1.Volume, path string) {
	switch {
	case vol.EmptyDir != nil:
		v.note(uid, vol.Name, Files{Path: path, Ephemeral: vol.EmptyDir.Medium == corev1.StorageMediumDefault})
	case vol.CSI != nil:
		v.note(uid, vol.Name, Files{Path: path, Driven: true})
	case vol.NFS != nil:
		v.note(uid, vol.Name, Files{Path: path, Whole: true})
	case isContent(vol):
		v.note(uid, vol.Name, Files{Path: path, Ephemeral: vol.ConfigMap != nil})
	}
}

func (v *Volumes) note(uid types.UID, name string, f Files) {
	v.mu.Lock()
	defer v.mu.Unlock()
	st := v.pods[uid]
	if st == nil {
		return // torn down meanwhile
	}
	if st.files == nil {
		st.files = map[string]Files{}
	}
	st.files[name] = f
}
