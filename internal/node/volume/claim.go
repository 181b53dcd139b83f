package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/component-helpers/storage/ephemeral"
	storage "k8s.io/component-helpers/storage/volume"
)

const localPlugin = "local-volume"

// claimError says that a volume's claim cannot be used, in the words of
// upstream's FailedMount event.
type claimError struct {
	volume, namespace, claim string
	err                      error
}

func (e *claimError) Error() string {
	return fmt.Sprintf("Unable to attach or mount volumes: unmounted volumes=[%s], unattached volumes=[], "+
		"failed to process volumes=[%s]: error processing PVC %s/%s: %v", e.volume, e.volume, e.namespace, e.claim, e.err)
}

func (e *claimError) Unwrap() error { return e.err }

// errNotBound is waited out; every other trouble with a claim is final for
// this Setup.
var errNotBound = errors.New("PVC is not bound")

// claim returns the path of the PersistentVolume that the claim is bound to.
func (v *Volumes) claim(ctx context.Context, pod *corev1.Pod, vol corev1.Volume) (string, error) {
	name := ephemeral.VolumeClaimName(pod, &vol)
	if vol.PersistentVolumeClaim != nil {
		name = vol.PersistentVolumeClaim.ClaimName
	}
	pv, err := v.boundVolume(ctx, pod, vol, name)
	if err != nil {
		return "", &claimError{vol.Name, pod.Namespace, name, err}
	}
	var labels map[string]string
	if node := v.cfg.Node(); node != nil {
		labels = node.Labels
	}
	if err := storage.CheckNodeAffinity(pv, labels); err != nil {
		return "", &Error{Volume: pv.Name, Step: "MountVolume.NodeAffinity check failed", Err: err}
	}
	if onePodOnly(pv) {
		if err := v.takeAlone(pod.UID, pv.Name); err != nil {
			return "", &Error{Volume: pv.Name, Err: err}
		}
	}
	var path string
	switch {
	case pv.Spec.Local != nil:
		path, err = v.local(ctx, pod, pv)
	case pv.Spec.HostPath != nil && !isBlock(pv):
		path, err = hostPath(pv.Spec.HostPath)
	case pv.Spec.NFS != nil && !isBlock(pv):
		if err = v.beginNFS(ctx, pv); err == nil {
			path, err = v.nfs(ctx, pod, pv.Name, pv.Spec.NFS, pv.Spec.MountOptions)
		}
	case pv.Spec.CSI != nil:
		path, err = v.persistent(ctx, pod, vol, pv, name)
	default:
		err = errNoPlugin
	}
	if err != nil {
		return "", worded(pv.Name, err)
	}
	switch {
	case pv.Spec.CSI != nil: // blocks too
		v.note(pod.UID, vol.Name, Files{Path: path, Driven: true, Claim: name})
	case pv.Spec.HostPath == nil && !isBlock(pv):
		v.note(pod.UID, vol.Name, Files{Path: path, Whole: true, Claim: name})
	}
	return path, nil
}

// boundVolume waits until the claim is bound and returns its volume.
func (v *Volumes) boundVolume(ctx context.Context, pod *corev1.Pod, vol corev1.Volume, name string) (*corev1.PersistentVolume, error) {
	pvc, err := v.boundClaim(ctx, pod, vol, name)
	if err != nil {
		return nil, err
	}
	pv, err := v.cfg.Client.CoreV1().PersistentVolumes().Get(ctx, pvc.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to fetch PV %s from API server: %w", pvc.Spec.VolumeName, err)
	}
	switch to := pv.Spec.ClaimRef; {
	case to == nil:
		return nil, fmt.Errorf("found PV object %s but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim", pv.Name)
	case to.UID != pvc.UID:
		return nil, fmt.Errorf("found PV object %s but its pv.Spec.ClaimRef.UID %s does not point to claim.UID %s", pv.Name, to.UID, pvc.UID)
	}
	return pv, checkVolumeMode(pod, vol, pv)
}

// checkVolumeMode wants file systems mounted and block devices used as such.
func checkVolumeMode(pod *corev1.Pod, vol corev1.Volume, pv *corev1.PersistentVolume) error {
	block := isBlock(pv)
	check := func(mounts []corev1.VolumeMount, devices []corev1.VolumeDevice) error {
		for _, m := range mounts {
			if block && m.Name == vol.Name {
				return fmt.Errorf("volume %s has volumeMode Block, but is specified in volumeMounts", vol.Name)
			}
		}
		for _, d := range devices {
			if !block && d.Name == vol.Name {
				return fmt.Errorf("volume %s has volumeMode Filesystem, but is specified in volumeDevices", vol.Name)
			}
		}
		return nil
	}
	var errs []error
	for _, c := range pod.Spec.InitContainers {
		errs = append(errs, check(c.VolumeMounts, c.VolumeDevices))
	}
	for _, c := range pod.Spec.Containers {
		errs = append(errs, check(c.VolumeMounts, c.VolumeDevices))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// boundClaim waits for the claim to be bound. Upstream's node authorizer lets
// a node get a claim but not watch it; then it is asked for at growing intervals.
func (v *Volumes) boundClaim(ctx context.Context, pod *corev1.Pod, vol corev1.Volume, name string) (*corev1.PersistentVolumeClaim, error) {
	deadline := v.cfg.Clock.NewTimer(v.cfg.claimWait)
	defer deadline.Stop()
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		pvc, err := v.cfg.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			err = fmt.Errorf("failed to fetch PVC from API server: %w", err)
		} else if err = usable(pod, vol, pvc); err == nil {
			return pvc, nil
		} else if !errors.Is(err, errNotBound) {
			return nil, err
		}
		var events <-chan watch.Event
		var watching watch.Interface
		if pvc != nil && pvc.ResourceVersion != "" {
			watching, events = v.watchClaim(ctx, pvc)
		}
		pause := v.cfg.Clock.NewTimer(delay)
		wake := pause.C()
		if watching != nil {
			wake = nil
		}
		select {
		case <-events: // a change, or the watch has ended
		case <-wake:
		case <-deadline.C():
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
		pause.Stop()
		if watching != nil {
			watching.Stop()
		}
	}
}

func (v *Volumes) watchClaim(ctx context.Context, pvc *corev1.PersistentVolumeClaim) (watch.Interface, <-chan watch.Event) {
	w, err := v.cfg.Client.CoreV1().PersistentVolumeClaims(pvc.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, pvc.Name).String(),
		ResourceVersion: pvc.ResourceVersion,
	})
	if err != nil {
		return nil, nil
	}
	return w, w.ResultChan()
}

func usable(pod *corev1.Pod, vol corev1.Volume, pvc *corev1.PersistentVolumeClaim) error {
	if vol.Ephemeral != nil {
		if err := ephemeral.VolumeIsForPod(pod, pvc); err != nil {
			return err
		}
	}
	switch {
	case pvc.DeletionTimestamp != nil:
		return errors.New("PVC is being deleted")
	case pvc.Status.Phase != corev1.ClaimBound:
		return errNotBound
	case pvc.Spec.VolumeName == "":
		return errors.New("PVC has empty pvc.Spec.VolumeName")
	}
	return nil
}

// local returns the path of a local volume. One of our own provisioner is made
// here at its first use, on the node that it belongs to; every other one, and
// ours ever after, must exist.
func (v *Volumes) local(ctx context.Context, pod *corev1.Pod, pv *corev1.PersistentVolume) (string, error) {
	path := pv.Spec.Local.Path
	if err := noBacksteps(path); err != nil {
		return "", fmt.Errorf("invalid path: %s %w", path, err)
	}
	if v.isOurs(path) && isBlock(pv) {
		return v.block(ctx, pod, pv)
	}
	if v.isOurs(path) {
		if err := v.begin(ctx, pv, path, func() error { return makeVolumeDir(path) }); err != nil {
			return "", err
		}
	}
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return "", &Error{Volume: pv.Name, Step: "MountVolume.NewMounter initialization failed", Err: fmt.Errorf("path %q does not exist", path)}
	}
	if err != nil {
		return "", err
	}
	switch {
	case isBlock(pv):
		return device(pv, info)
	case isBlockDevice(info):
		if path, err = v.fileSystemOn(ctx, pod, pv); err != nil {
			return "", err
		}
	case !info.IsDir():
		return "", fmt.Errorf("only directory and block device are supported")
	}
	marker := v.marker(pod.UID, localPlugin, pv.Name)
	if fsGroup(pod) == nil || isMarked(marker) {
		return path, nil
	}
	var policy *corev1.PodFSGroupChangePolicy
	if pod.Spec.SecurityContext != nil {
		policy = pod.Spec.SecurityContext.FSGroupChangePolicy
	}
	if err := setGroup(path, fsGroup(pod), policy, true); err != nil {
		return "", fmt.Errorf("applyFSGroup failed for vol %s: %w", pv.Name, err)
	}
	return path, mark(marker)
}

// isOurs tells whether path is a directory right below the volumes directory.
func (v *Volumes) isOurs(path string) bool {
	return v.cfg.VolumesDir != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(v.cfg.VolumesDir)
}
