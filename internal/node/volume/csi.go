package volume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/node/csi"
	"berth.dev/berth/internal/plan/volume"
)

// driven is one volume of a storage driver in one pod.
type driven struct {
	use      driverUse
	object   *storagev1.CSIDriver // nil when the driver has none
	pv       *corev1.PersistentVolume
	claim    string // behind pv
	fsType   string
	readOnly bool
	options  []string
	modes    []corev1.PersistentVolumeAccessMode
	settings map[string]string
	// Secrets of the calls, nil when there are none.
	stage, publish *corev1.SecretReference
}

// persistent is the volume of a claim that a driver keeps.
func (v *Volumes) persistent(ctx context.Context, pod *corev1.Pod, vol corev1.Volume, pv *corev1.PersistentVolume, claim string) (string, error) {
	source := pv.Spec.CSI
	object, err := v.driverObject(ctx, source.Driver)
	if err != nil {
		return "", err
	}
	if err := volume.Supports(object, storagev1.VolumeLifecyclePersistent); err != nil {
		return "", err
	}
	d := &driven{
		use: driverUse{
			PV: pv.Name, Handle: source.VolumeHandle, Driver: source.Driver, Node: v.cfg.NodeName,
			Mode: storagev1.VolumeLifecyclePersistent, Block: isBlock(pv),
		},
		object: object, pv: pv, claim: claim, fsType: source.FSType, options: pv.Spec.MountOptions, modes: pv.Spec.AccessModes,
		readOnly: vol.PersistentVolumeClaim != nil && vol.PersistentVolumeClaim.ReadOnly,
		settings: source.VolumeAttributes, stage: source.NodeStageSecretRef, publish: source.NodePublishSecretRef,
	}
	if volume.AttachRequired(object) {
		d.use.Attachment = volume.AttachmentName(source.Driver, source.VolumeHandle, v.cfg.NodeName)
	}
	return v.drive(ctx, pod, vol.Name, d)
}

// inline is a volume that the pod describes itself; it lives as long as the pod.
func (v *Volumes) inline(ctx context.Context, pod *corev1.Pod, vol corev1.Volume) (string, error) {
	source := vol.CSI
	object, err := v.driverObject(ctx, source.Driver)
	if err != nil {
		return "", err
	}
	if err := volume.Supports(object, storagev1.VolumeLifecycleEphemeral); err != nil {
		return "", fmt.Errorf("kubernetes.io/csi: mounter.SetUpAt failed to check volume lifecycle mode: %w", err)
	}
	d := &driven{
		use: driverUse{
			PV: vol.Name, Handle: volume.InlineHandle(pod.UID, vol.Name), Driver: source.Driver, Node: v.cfg.NodeName,
			Mode: storagev1.VolumeLifecycleEphemeral,
		},
		object: object, settings: source.VolumeAttributes, modes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		readOnly: source.ReadOnly != nil && *source.ReadOnly,
	}
	if source.FSType != nil {
		d.fsType = *source.FSType
	}
	if source.NodePublishSecretRef != nil {
		d.publish = &corev1.SecretReference{Namespace: pod.Namespace, Name: source.NodePublishSecretRef.Name}
	}
	return v.drive(ctx, pod, vol.Name, d)
}

// driverObject is what the cluster knows of a driver, nil when it has no object.
func (v *Volumes) driverObject(ctx context.Context, name string) (*storagev1.CSIDriver, error) {
	object, err := v.cfg.Client.StorageV1().CSIDrivers().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read CSIDriver %s: %w", name, err)
	}
	return object, nil
}

// drive brings a volume to its pod. All that was done before is told by the
// disk: a use that was begun has a note, one that is finished a mount.
func (v *Volumes) drive(ctx context.Context, pod *corev1.Pod, name string, d *driven) (string, error) {
	target := v.target(pod.UID, d.use)
	v.noteDriven(pod.UID, name, ref{claimKind, pod.Namespace, d.claim})
	release, err := v.drives.alone(ctx, d.use)
	if err != nil {
		return "", err
	}
	defer release()
	republish := d.object != nil && d.object.Spec.RequiresRepublish != nil && *d.object.Spec.RequiresRepublish
	known := isMountPoint(target)
	if known && !republish {
		return target, v.grow(ctx, pod, d, target)
	}
	driver, err := v.cfg.Drivers.Driver(d.use.Driver)
	if err != nil {
		v.drives.await(d.use.Driver, pod.UID)
		// It may have come between the two.
		if driver, err = v.cfg.Drivers.Driver(d.use.Driver); err != nil {
			if known {
				return target, nil
			}
			return "", unregistered(d, err)
		}
	}
	if d.use.Begun = known || v.hasBegun(pod.UID, d.use); !d.use.Begun {
		if err := v.noteUse(pod.UID, d.use); err != nil {
			return "", err
		}
	}
	do := csi.Volume{Handle: d.use.Handle, Target: target}
	if d.use.Attachment != "" {
		if do.PublishContext, err = v.awaitAttached(ctx, name, d); err != nil {
			return "", err
		}
	}
	can, err := driver.Capabilities(ctx)
	if err != nil {
		return "", err
	}
	do.Capability = d.access(fsGroup(pod)).Of(can)
	if can.Stage && d.pv != nil {
		do.Staging = v.staging(d.use)
		if err := v.stage(ctx, driver, do, d); err != nil {
			return "", &Error{Volume: d.use.PV, Step: d.step("MountVolume.MountDevice failed", "MapVolume.SetUpDevice failed"), Err: err}
		}
	}
	if err := v.publish(ctx, pod, driver, do, d); err != nil {
		return "", &Error{Volume: d.use.PV, Step: d.step("MountVolume.SetUp failed", "MapVolume.MapPodDevice failed"), Err: err}
	}
	if err := v.giveDriven(pod, target, can, d, known); err != nil {
		return "", err
	}
	if republish {
		v.queue.AddAfter(pod.UID, republishEvery)
	}
	return target, v.grow(ctx, pod, d, target)
}

// access is how the volume is to be used.
func (d *driven) access(group *int64) csi.Access {
	a := csi.Access{Block: d.use.Block, FSType: d.fsType, Options: d.options}
	if len(d.modes) > 0 {
		a.Mode = d.modes[0]
	}
	if group != nil {
		a.Group = strconv.FormatInt(*group, 10)
	}
	return a
}

// step is what failed, which block volumes have other words for.
func (d *driven) step(mounted, block string) string {
	if d.use.Block {
		return block
	}
	return mounted
}

func unregistered(d *driven, err error) error {
	if d.pv == nil {
		return fmt.Errorf("kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: %w", err)
	}
	return &Error{
		Volume: d.use.PV, Step: d.step("MountVolume.MountDevice failed", "MapVolume.SetUpDevice failed"),
		Err: fmt.Errorf("kubernetes.io/csi: %s failed to create newCsiDriverClient: %w", d.step("attacher.MountDevice", "blockMapper.SetUpDevice"), err),
	}
}

// stage prepares the volume for this node, once for all pods here.
func (v *Volumes) stage(ctx context.Context, driver *csi.Driver, do csi.Volume, d *driven) error {
	if v.drives.isStaged(d.use) {
		return nil
	}
	secrets, err := v.secrets(ctx, d.stage)
	if err != nil {
		return err
	}
	if err := v.noteStaged(d.use); err != nil {
		return err
	}
	if err := os.MkdirAll(do.Staging, 0o750); err != nil {
		return err
	}
	if err := driver.Stage(ctx, do, d.settings, secrets); err != nil {
		return err
	}
	v.drives.staged(d.use, true)
	return nil
}

// publish shows the volume to the pod.
func (v *Volumes) publish(ctx context.Context, pod *corev1.Pod, driver *csi.Driver, do csi.Volume, d *driven) error {
	secrets, err := v.secrets(ctx, d.publish)
	if err != nil {
		return err
	}
	about := maps.Clone(d.settings)
	tell := func(more map[string]string) {
		if about == nil && len(more) > 0 {
			about = map[string]string{}
		}
		maps.Copy(about, more)
	}
	tell(volume.PodInfo(d.object, pod, d.pv == nil))
	tokens, err := v.tokensFor(ctx, pod, d.object)
	if err != nil {
		return err
	}
	if d.object != nil && d.object.Spec.ServiceAccountTokenInSecrets != nil && *d.object.Spec.ServiceAccountTokenInSecrets {
		if secrets == nil && len(tokens) > 0 {
			secrets = map[string]string{}
		}
		maps.Copy(secrets, tokens)
	} else {
		tell(tokens)
	}
	// The target itself is for the driver to make.
	if err := os.MkdirAll(filepath.Dir(do.Target), 0o750); err != nil {
		return err
	}
	d.use.Begun = true
	if err := v.noteUse(pod.UID, d.use); err != nil {
		return err
	}
	return driver.Publish(ctx, do, d.readOnly, about, secrets)
}

// giveDriven gives the volume's files to the pod's group, when that is the node's
// business and not the driver's.
func (v *Volumes) giveDriven(pod *corev1.Pod, target string, can csi.Capabilities, d *driven, known bool) error {
	group := fsGroup(pod)
	if group == nil || d.use.Block || known || can.MountGroup || !volume.NodeGivesGroup(d.object, d.fsType, d.modes, d.readOnly) {
		return nil
	}
	if err := setGroup(target, group, pod.Spec.SecurityContext.FSGroupChangePolicy, !d.readOnly); err != nil {
		return fmt.Errorf("applyFSGroup failed for vol %s: %w", d.use.Handle, err)
	}
	return nil
}

// secrets reads the secret of a call.
func (v *Volumes) secrets(ctx context.Context, at *corev1.SecretReference) (map[string]string, error) {
	if at == nil {
		return nil, nil
	}
	secret, err := v.cfg.Client.CoreV1().Secrets(at.Namespace).Get(ctx, at.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("fetching secret %s/%s: %w", at.Namespace, at.Name, err)
	}
	out := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		out[key] = string(value)
	}
	return out, nil
}

// notRegistered tells a driver that is away from one that refuses.
func notRegistered(err error) bool {
	var away csi.ErrNotRegistered
	return errors.As(err, &away)
}
