package localvolume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// contentKey begins the keys of VolumeSnapshotContents in the queue.
const contentKey = "content/"

// content is one of them in its own type.
func (r *janitor) content(name string) (*snapshotv1.VolumeSnapshotContent, bool) {
	o, found, err := r.contents.GetByKey(name)
	if err != nil || !found {
		return nil, false
	}
	return typed(o)
}

func typed(o any) (*snapshotv1.VolumeSnapshotContent, bool) {
	u, ok := o.(*unstructured.Unstructured)
	c := &snapshotv1.VolumeSnapshotContent{}
	return c, ok && runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, c) == nil
}

// snapshotsIn looks at the contents whose snapshot is in a folder: a volume was
// made of it.
func (r *janitor) snapshotsIn(ctx context.Context, folder string) error {
	host, err := r.host(ctx)
	if err != nil {
		return err
	}
	for _, o := range r.contents.List() {
		if c, ok := typed(o); ok {
			if step, in, _ := volumesnapshot.Local(c, host); step != volumesnapshot.Rest && in == folder {
				err = errors.Join(err, r.snapshot(ctx, c.Name))
			}
		}
	}
	return err
}

// snapshot does what one content asks for, if its snapshot is on this node.
func (r *janitor) snapshot(ctx context.Context, name string) error {
	c, found := r.content(name)
	if !found {
		return nil
	}
	host, err := r.host(ctx)
	if err != nil {
		return err
	}
	step, folder, source := volumesnapshot.Local(c, host)
	path := filepath.Join(r.Dir, folder)
	switch step {
	case volumesnapshot.Take:
		r.copies.begin(ctx, contentKey+name, func(ctx context.Context) error { return r.take(ctx, c, host, path, source) }, source)
	case volumesnapshot.Look:
		return r.find(ctx, c, host, path)
	case volumesnapshot.Remove:
		if r.copies.end(contentKey+name) || r.isCopied(folder) {
			return nil // its end, or that of the volume that is made of it, comes back to it
		}
		if err := errors.Join(remove(unfinished(path)), remove(path)); err != nil {
			r.tellContent(c, "SnapshotDeleteError", "Failed to delete snapshot")
			return fmt.Errorf("remove the directory of snapshot %s: %w", name, err)
		}
		return r.forget(ctx, c)
	case volumesnapshot.Keep:
		if r.copies.end(contentKey + name) {
			return nil
		}
		// Kept is what is whole.
		if err := remove(unfinished(path)); err != nil {
			return fmt.Errorf("remove what was begun of snapshot %s: %w", name, err)
		}
		return r.forget(ctx, c)
	case volumesnapshot.Rest:
	}
	return nil
}

// take copies a volume, unless a former life of this process did, and tells that
// it is there.
func (r *janitor) take(ctx context.Context, c *snapshotv1.VolumeSnapshotContent, host, path, source string) error {
	status, err := r.copyFor(ctx, host, path, source)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("failed to take snapshot of the volume %s: %q", *c.Spec.Source.VolumeHandle, err.Error())
		r.Log.Warn("snapshot not taken, trying again", "content", c.Name, "error", err)
		return errors.Join(err, r.complain(ctx, c, "SnapshotCreationFailed", "Failed to create snapshot: "+err.Error()))
	}
	return r.report(ctx, c, status)
}

func (r *janitor) copyFor(ctx context.Context, host, path, source string) (*snapshotv1.VolumeSnapshotContentStatus, error) {
	o, found, err := r.store.GetByKey(source)
	if err != nil || !found {
		return nil, errors.Join(err, fmt.Errorf("persistentvolumes %q not found", source))
	}
	pv := o.(*corev1.PersistentVolume)
	from, ours := volume.LocalDirectory(pv, r.Dir, host)
	if !ours {
		return nil, fmt.Errorf("volume %s is not one of the local provisioner on this node", source)
	}
	switch _, err := os.Lstat(path); {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case pv.DeletionTimestamp != nil: // half of its folder may be gone
		return nil, fmt.Errorf("volume %s is being deleted", source)
	default:
		if err := copyVolume(ctx, pv, path, from, volume.LocalMayBeginEmpty(pv)); err != nil {
			return nil, err
		}
	}
	size := pv.Spec.Capacity[corev1.ResourceStorage]
	return there(host, path, ptr.To(size.Value())), nil
}

// there is what is told of a snapshot that is there.
func there(host, path string, size *int64) *snapshotv1.VolumeSnapshotContentStatus {
	return &snapshotv1.VolumeSnapshotContentStatus{
		SnapshotHandle: ptr.To(volumesnapshot.Handle(host, filepath.Base(path))),
		CreationTime:   ptr.To(begunAt(path).UnixNano()), RestoreSize: size, ReadyToUse: ptr.To(true),
	}
}

// begunAt is when the first file of a copy was made: what came to the volume
// later may or may not be in it.
func begunAt(path string) time.Time {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st); err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return time.Now()
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
}

// find tells whether a snapshot that somebody named is there.
func (r *janitor) find(ctx context.Context, c *snapshotv1.VolumeSnapshotContent, host, path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", path)
	}
	if err != nil {
		err = fmt.Errorf("failed to list snapshot for content %s: %q", c.Name, err.Error())
		return errors.Join(err, r.complain(ctx, c, "SnapshotContentCheckandUpdateFailed", "Failed to check and update snapshot content: "+err.Error()))
	}
	var size *int64
	if blocks, err := os.Lstat(filepath.Join(path, volume.LocalBlocks)); err == nil && c.Spec.SourceVolumeMode != nil && *c.Spec.SourceVolumeMode == corev1.PersistentVolumeBlock {
		size = ptr.To(blocks.Size())
	}
	return r.report(ctx, c, there(host, path, size))
}

// report writes what became of a snapshot.
func (r *janitor) report(ctx context.Context, c *snapshotv1.VolumeSnapshotContent, status *snapshotv1.VolumeSnapshotContentStatus) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return err
	}
	if status.Error == nil {
		fields["error"] = nil
	}
	return r.patch(ctx, c, map[string]any{"metadata": map[string]any{"uid": c.UID}, "status": fields}, "status")
}

// complain writes what went wrong, once.
func (r *janitor) complain(ctx context.Context, c *snapshotv1.VolumeSnapshotContent, reason, message string) error {
	if s := c.Status; s != nil && s.Error != nil && s.Error.Message != nil && *s.Error.Message == message {
		return nil
	}
	r.tellContent(c, reason, message)
	return r.report(ctx, c, &snapshotv1.VolumeSnapshotContentStatus{
		ReadyToUse: ptr.To(false), Error: &snapshotv1.VolumeSnapshotError{Time: ptr.To(metav1.Now()), Message: &message},
	})
}

// forget takes the finalizer from a content whose snapshot has been dealt with.
func (r *janitor) forget(ctx context.Context, c *snapshotv1.VolumeSnapshotContent) error {
	left := volumesnapshot.LetGo(c).Finalizers
	return r.patch(ctx, c, map[string]any{"metadata": map[string]any{"uid": c.UID, "resourceVersion": c.ResourceVersion, "finalizers": left}})
}

func (r *janitor) patch(ctx context.Context, c *snapshotv1.VolumeSnapshotContent, change map[string]any, subresource ...string) error {
	patch, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("content %s: %w", c.Name, err)
	}
	_, err = r.Snapshots.Resource(snapshotv1.Contents).Patch(ctx, c.Name, types.MergePatchType, patch, metav1.PatchOptions{}, subresource...)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (r *janitor) tellContent(c *snapshotv1.VolumeSnapshotContent, reason, message string) {
	if r.Event == nil {
		return
	}
	about := c.DeepCopy()
	about.SetGroupVersionKind(snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshotContent"))
	r.Event(about, corev1.EventTypeWarning, reason, message)
}
