package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/volume"
)

// Share mounts the directory of a server that a provisioned NFS volume lies in,
// for as long as do works in it. A server that does not answer is an error
// after some time: nobody's data is at stake yet, or any more.
func (v *Volumes) Share(ctx context.Context, pv *corev1.PersistentVolume, do func(root, name string) error) error {
	share, name, ok := volume.NFSFolder(pv)
	if !ok {
		return fmt.Errorf("volume %s is none of the NFS provisioner", pv.Name)
	}
	if err := os.MkdirAll(v.sharesDir(), 0o700); err != nil {
		return err
	}
	root, err := os.MkdirTemp(v.sharesDir(), pv.Name+"-")
	if err != nil {
		return err
	}
	options := slices.DeleteFunc(slices.Clone(pv.Spec.MountOptions), func(o string) bool { return o == "hard" || o == "ro" })
	if err := runHelper(ctx, "nfs", share.Server+":"+share.Path, root, append(options, "soft")); err != nil {
		return joinRemove(err, root)
	}
	err = do(root, name)
	if gone := unmountUnder(root); gone != nil {
		return gone // what is mounted there must not be removed
	}
	return joinRemove(err, root)
}

// joinRemove removes an empty directory.
func joinRemove(err error, dir string) error {
	if gone := os.Remove(dir); err == nil {
		return gone
	}
	return err
}

func (v *Volumes) sharesDir() string { return filepath.Join(v.cfg.Root, "plugins", "berth.dev~nfs") }

// dropShares takes away what a crash left mounted. It asks no server.
func (v *Volumes) dropShares() {
	points, err := mountsUnder(v.sharesDir())
	if err != nil {
		return
	}
	for _, point := range slices.Backward(points) {
		_ = unix.Unmount(point, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	left, _ := os.ReadDir(v.sharesDir())
	for _, dir := range left {
		_ = os.Remove(filepath.Join(v.sharesDir(), dir.Name())) // not when something is still mounted
	}
}

// beginNFS makes the directory of a provisioned NFS volume that was never used.
func (v *Volumes) beginNFS(ctx context.Context, pv *corev1.PersistentVolume) error {
	if _, _, ours := volume.NFSFolder(pv); !ours || !volume.LocalMayBeginEmpty(pv) {
		return nil
	}
	err := v.Share(ctx, pv, func(root, name string) error {
		if err := makeVolumeDir(filepath.Join(root, name)); err != nil {
			return err
		}
		return syncDir(root)
	})
	if err != nil {
		return err
	}
	if err := v.cfg.Begun(ctx, pv); err != nil {
		return fmt.Errorf("write down that volume %s is in use: %w", pv.Name, err)
	}
	return nil
}
