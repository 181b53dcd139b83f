package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Error says that one volume could not be set up, in the words of upstream's
// FailedMount event.
type Error struct {
	// Volume is the pod's name for it, or for a claim the PersistentVolume's.
	Volume string
	// Step is what failed: "MountVolume.SetUp failed" unless set.
	Step string
	Err  error
}

func (e *Error) Error() string {
	step := e.Step
	if step == "" {
		step = "MountVolume.SetUp failed"
	}
	return fmt.Sprintf("%s for volume %q : %v", step, e.Volume, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// errNoPlugin is upstream's answer to a kind of volume it does not know.
var errNoPlugin = errors.New("no volume plugin matched")

// setupOne makes one volume and returns its path; an image volume has none,
// the runtime mounts it.
func (v *Volumes) setupOne(ctx context.Context, pod *corev1.Pod, vol corev1.Volume) (string, error) {
	var path string
	var err error
	switch {
	case vol.EmptyDir != nil:
		path, err = v.emptyDir(pod, vol)
	case vol.HostPath != nil:
		path, err = hostPath(vol.HostPath)
	case isContent(vol):
		path, err = v.content(ctx, pod, vol)
	case vol.PersistentVolumeClaim != nil, vol.Ephemeral != nil:
		path, err = v.claim(ctx, pod, vol)
	case vol.NFS != nil:
		path, err = v.nfs(ctx, pod, vol.Name, vol.NFS, nil)
	case vol.CSI != nil:
		path, err = v.inline(ctx, pod, vol)
	case vol.Image != nil:
	default:
		err = errNoPlugin
	}
	if err == nil {
		v.noteOwn(pod.UID, vol, path)
		return path, nil
	}
	return "", worded(vol.Name, err)
}

// worded puts an error into upstream's words, unless it is.
func worded(volume string, err error) error {
	var said *Error
	var waiting *claimError
	var attaching *notAttachedError
	if errors.As(err, &said) || errors.As(err, &waiting) || errors.As(err, &attaching) {
		return err
	}
	return &Error{Volume: volume, Err: err}
}

// noteDriven remembers a volume of a storage driver, which may have work with it
// also while the pod runs.
func (v *Volumes) noteDriven(uid types.UID, name string, claim ref) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if st := v.pods[uid]; st != nil {
		if st.driven == nil {
			st.driven = map[string]ref{}
		}
		st.driven[name] = claim
	}
}

func (v *Volumes) isDriven(uid types.UID, name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	st := v.pods[uid]
	if st == nil {
		return false
	}
	_, is := st.driven[name]
	return is
}

// drivenClaims are the claims whose growth a pod's volumes follow.
func (v *Volumes) drivenClaims(uid types.UID) []ref {
	v.mu.Lock()
	defer v.mu.Unlock()
	var claims []ref
	if st := v.pods[uid]; st != nil {
		for _, claim := range st.driven {
			if claim.name != "" {
				claims = append(claims, claim)
			}
		}
	}
	return claims
}

// isContent tells whether the volume's files are written by us.
func isContent(vol corev1.Volume) bool {
	return vol.ConfigMap != nil || vol.Secret != nil || vol.Projected != nil || vol.DownwardAPI != nil
}

// PodDir is where everything of one pod is kept.
func (v *Volumes) PodDir(uid types.UID) string { return podDir(v.cfg.Root, uid) }

func podDir(root string, uid types.UID) string { return filepath.Join(root, "pods", string(uid)) }

// path is the volume's directory, as the kubelet names it.
func (v *Volumes) path(uid types.UID, plugin, name string) string {
	return volumeDir(v.cfg.Root, uid, plugin, name)
}

func volumeDir(root string, uid types.UID, plugin, name string) string {
	return filepath.Join(podDir(root, uid), "volumes", "kubernetes.io~"+plugin, name)
}

// EmptyDir is the directory of a pod's emptyDir below the kubelet's root.
func EmptyDir(root string, uid types.UID, name string) string {
	return volumeDir(root, uid, emptyDirPlugin, name)
}

// marker is a file that says a step on this volume has been finished.
func (v *Volumes) marker(uid types.UID, plugin, name string) string {
	return filepath.Join(v.PodDir(uid), "plugins", "kubernetes.io~"+plugin, name, "ready")
}

func isMarked(marker string) bool {
	_, err := os.Lstat(marker)
	return err == nil
}

func mark(marker string) error {
	if err := os.MkdirAll(filepath.Dir(marker), 0o750); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o640)
}

// makePodDir makes the pod's directory; a UID that is not a plain file name
// would put it somewhere else.
func (v *Volumes) makePodDir(uid types.UID) error {
	if err := checkUID(uid); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(v.PodDir(uid), "volumes"), 0o750)
}

func checkUID(uid types.UID) error {
	if s := string(uid); s == "" || s == "." || s == ".." || filepath.Base(s) != s {
		return fmt.Errorf("the pod's UID %q cannot name a directory", s)
	}
	return nil
}
