package volume

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Notes are all notes about drivers' volumes below a node's directory. They are
// read from the disk once, when first asked for, so that nothing is forgotten over
// a restart; what is in use is then answered without a walk over all pods.
type Notes struct {
	v Volumes // for its paths alone

	mu     sync.Mutex
	loaded bool
	uses   map[string]driverUse // by the note's path
	unread map[string]bool      // notes that could not be read: they may be of anything
}

// OpenNotes knows the notes below root.
func OpenNotes(root string) *Notes { return &Notes{v: Volumes{cfg: Config{Root: root}}} }

// load reads the disk, once, and what could not be read then. The lock is held.
func (n *Notes) load() error {
	if !n.loaded {
		n.uses, n.unread = map[string]driverUse{}, map[string]bool{}
		for _, pattern := range []string{
			filepath.Join(n.v.useDir("*", "*"), useNote),
			filepath.Join(n.v.driversDir(), "*", "*", useNote),
			filepath.Join(n.v.driversDir(), "volumeDevices", "*", "data", useNote),
		} {
			found, err := filepath.Glob(pattern)
			if err != nil {
				return err
			}
			for _, path := range found {
				n.unread[path] = true
			}
		}
		n.loaded = true
	}
	var problems []error
	for path := range maps.Clone(n.unread) {
		u, err := readUse(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			delete(n.unread, path)
		case err != nil:
			problems = append(problems, err)
		default:
			delete(n.unread, path)
			n.uses[path] = u
		}
	}
	return errors.Join(problems...)
}

// write puts a note on the disk, and remembers it.
func (n *Notes) write(path string, u driverUse) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.load() // what is wrong with others' notes does not matter here
	if err := writeNote(path, u); err != nil {
		return err
	}
	delete(n.unread, path)
	n.uses[path] = u
	return nil
}

// remove takes a note away; one that is not there is no error.
func (n *Notes) remove(path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(n.uses, path)
	delete(n.unread, path)
	return nil
}

// usedByOthers looks for uses of a volume by other pods.
func (n *Notes) usedByOthers(u driverUse, but types.UID) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.load(); err != nil {
		return false, err
	}
	pods, mine := filepath.Join(n.v.cfg.Root, "pods")+"/", filepath.Join(n.v.useDir(but, u.PV), useNote)
	for path, other := range n.uses {
		if other.key() == u.key() && path != mine && strings.HasPrefix(path, pods) && n.stays(path) {
			return true, nil
		}
	}
	return false, nil
}

// stays tells whether a note is still there: somebody may have removed a pod's
// folder by hand. The lock is held.
func (n *Notes) stays(path string) bool {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		delete(n.uses, path)
		return false
	}
	return true
}

// InUse are the attached volumes that the node may have in use: nobody detaches
// them. What cannot be read was never used, or is told of when it is torn down.
func (n *Notes) InUse() []corev1.UniqueVolumeName {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.load()
	var out []corev1.UniqueVolumeName
	for path, u := range n.uses {
		if u.Attachment != "" && n.stays(path) && !slices.Contains(out, u.key()) {
			out = append(out, u.key())
		}
	}
	slices.Sort(out)
	return out
}
