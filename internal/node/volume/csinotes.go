package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/volume"
)

const (
	csiPlugin = "csi"
	// useNote is the file that says whose a volume's folder is, by upstream's name.
	useNote = "vol_data.json"
)

// driverUse is what has to be known to end the use of a driver's volume, when
// the pod and its objects may be gone. Its JSON is upstream's.
type driverUse struct {
	PV         string                        `json:"specVolID,omitempty"`
	Handle     string                        `json:"volumeHandle"`
	Driver     string                        `json:"driverName"`
	Node       string                        `json:"nodeName,omitempty"`
	Attachment string                        `json:"attachmentID,omitempty"` // empty where nothing is attached
	Mode       storagev1.VolumeLifecycleMode `json:"volumeLifecycleMode,omitempty"`
	Block      bool                          `json:"block,omitempty"`
	// Begun says that the driver was asked to show the volume to the pod.
	Begun bool `json:"begun,omitempty"`
}

func (u driverUse) key() corev1.UniqueVolumeName { return volume.CSIName(u.Driver, u.Handle) }

// useDir holds the note of one pod's use.
func (v *Volumes) useDir(uid types.UID, name string) string { return v.path(uid, csiPlugin, name) }

// driversDir holds what is the node's and no pod's, in the kubelet's layout.
func (v *Volumes) driversDir() string {
	return filepath.Join(v.cfg.Root, "plugins", "kubernetes.io", csiPlugin)
}

// target is where a pod has a volume.
func (v *Volumes) target(uid types.UID, u driverUse) string {
	if u.Block {
		return filepath.Join(v.driversDir(), "volumeDevices", "publish", u.PV, string(uid))
	}
	return filepath.Join(v.useDir(uid, u.PV), "mount")
}

// staging is where a volume is prepared for the node.
func (v *Volumes) staging(u driverUse) string {
	if u.Block {
		return filepath.Join(v.driversDir(), "volumeDevices", "staging", u.PV)
	}
	return filepath.Join(v.driversDir(), u.Driver, volume.CSIStaging(u.Handle), "globalmount")
}

// stagedNote is the file that says that a volume may be staged.
func (v *Volumes) stagedNote(u driverUse) string {
	if u.Block {
		return filepath.Join(v.driversDir(), "volumeDevices", u.PV, "data", useNote)
	}
	return filepath.Join(filepath.Dir(v.staging(u)), useNote)
}

// noteUse says that a pod uses a volume, before anything is done for it, and
// that the node has it in use.
func (v *Volumes) noteUse(uid types.UID, u driverUse) error {
	return v.notes.write(filepath.Join(v.useDir(uid, u.PV), useNote), u)
}

// hasBegun says whether the driver was asked before to show the volume to the pod.
func (v *Volumes) hasBegun(uid types.UID, u driverUse) bool {
	was, err := readUse(filepath.Join(v.useDir(uid, u.PV), useNote))
	return err == nil && was.key() == u.key() && was.Begun
}

func (v *Volumes) noteStaged(u driverUse) error { return v.notes.write(v.stagedNote(u), u) }

func writeNote(path string, u driverUse) error {
	if old, err := readUse(path); err == nil && old == u {
		return nil
	}
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	// In one step: half a note would be forgotten, and what it was for left behind.
	tmp := path + ".new"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("note the use of volume %s: %w", u.Handle, err)
	}
	return syncDir(filepath.Dir(path))
}

func readUse(path string) (driverUse, error) {
	var u driverUse
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	if err == nil && u.Driver == "" {
		err = errors.New("it names no driver")
	}
	if err != nil {
		return u, fmt.Errorf("read %s: %w", path, err)
	}
	return u, nil
}

// usesOf are the uses that a pod has notes of, as the disk has them.
func (v *Volumes) usesOf(uid types.UID) ([]driverUse, error) {
	return readUses(filepath.Join(v.useDir(uid, "*"), useNote))
}

// stagedUses are the volumes that may be staged on this node.
func (v *Volumes) stagedUses() ([]driverUse, error) {
	mounted, err := readUses(filepath.Join(v.driversDir(), "*", "*", useNote))
	blocks, more := readUses(filepath.Join(v.driversDir(), "volumeDevices", "*", "data", useNote))
	return append(mounted, blocks...), errors.Join(err, more)
}

func readUses(pattern string) ([]driverUse, error) {
	notes, err := filepath.Glob(pattern)
	problems := []error{err}
	var uses []driverUse
	for _, note := range notes {
		u, err := readUse(note)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		uses = append(uses, u)
	}
	return uses, errors.Join(problems...)
}
