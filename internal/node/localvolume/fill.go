package localvolume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/node/copytree"
	"berth.dev/berth/internal/node/loopdev"
	"berth.dev/berth/internal/node/sizelimit"
	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
)

// copies are under way beside everything else: they may take hours. So may the
// removal of what lies on a server.
type copies struct {
	mu      sync.Mutex
	running map[string]*copying // by the name of the volume
	// start begins something that Run waits for, again looks at a volume again.
	start func(func())
	again func(name string, failed bool)
}

type copying struct{ stop context.CancelFunc }

// begin works on a volume unless that is under way, and looks at it again when
// that did not succeed. At its end, however it comes, it looks at others that may
// have waited.
func (c *copies) begin(ctx context.Context, name string, do func(context.Context) error, waiting ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[name] != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	c.running[name] = &copying{stop}
	c.start(func() {
		defer stop()
		err := do(ctx)
		c.mu.Lock()
		delete(c.running, name)
		c.mu.Unlock()
		// A success that nobody interrupted shows in the volume itself.
		if err != nil || ctx.Err() != nil {
			c.again(name, ctx.Err() == nil)
		}
		for _, other := range waiting {
			c.again(other, false)
		}
	})
}

// has tells whether something is under way.
func (c *copies) has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[name] != nil
}

// end stops the copy that fills a volume, and says whether there is one.
func (c *copies) end(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.running[name]; one != nil {
		one.stop()
		return true
	}
	return false
}

// isCopied tells whether a volume is the source of a copy that is not done.
func (r *janitor) isCopied(name string) bool {
	for _, o := range r.store.List() {
		if pv, ok := o.(*corev1.PersistentVolume); ok && pv.DeletionTimestamp == nil {
			if source, ok := volume.LocalCopyOf(pv); ok && source == name {
				return true
			}
		}
	}
	return r.isTaken(name)
}

// isTaken tells whether a snapshot of a volume is being taken right now. That is
// held by its claim, unless somebody took the finalizer away.
func (r *janitor) isTaken(name string) bool {
	if r.contents == nil {
		return false
	}
	for _, o := range r.contents.List() {
		if c, ok := typed(o); ok && r.copies.has(contentKey+c.Name) {
			if step, _, of := volumesnapshot.Local(c, r.hostname); step == volumesnapshot.Take && of == name {
				return true
			}
		}
	}
	return false
}

// unfinished is where a copy is made, so that half of one is never taken for a
// volume.
func unfinished(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".copy")
}

// fill gives a volume the content of another, unless that is under way.
func (r *janitor) fill(ctx context.Context, pv *corev1.PersistentVolume, path, source string) error {
	if filepath.Base(source) != source || source == "." || source == ".." {
		return fmt.Errorf("volume %s is to be a copy of %q, which is no volume", pv.Name, source)
	}
	r.copies.begin(ctx, pv.Name, func(ctx context.Context) error {
		err := r.copy(ctx, pv, path, filepath.Join(filepath.Dir(path), source))
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("local volume not copied, trying again", "volume", pv.Name, "from", source, "error", err)
			r.tell(pv, corev1.EventTypeWarning, "ProvisioningFailed",
				fmt.Sprintf("failed to provision volume with StorageClass %q: %v", pv.Spec.StorageClassName, err))
		}
		return err
	})
	return nil
}

func (r *janitor) copy(ctx context.Context, pv *corev1.PersistentVolume, path, source string) error {
	switch _, err := os.Lstat(path); {
	case err == nil: // finished, and killed before that was written down
	case !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if err := copyVolume(ctx, pv, path, source, r.isUnused(filepath.Base(source))); err != nil {
			return err
		}
	}
	if err := done(ctx, r.Client, pv, volume.LocalBegin); err != nil {
		return err
	}
	r.tell(pv, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume "+pv.Name)
	return nil
}

// isUnused tells whether a volume has no folder because no pod has used it yet.
func (r *janitor) isUnused(name string) bool {
	o, found, err := r.store.GetByKey(name)
	return err == nil && found && volume.LocalMayBeginEmpty(o.(*corev1.PersistentVolume))
}

// copyVolume makes the folder of a volume from that of another, all at once.
func copyVolume(ctx context.Context, pv *corev1.PersistentVolume, path, source string, unused bool) error {
	begun := unfinished(path)
	if err := remove(begun); err != nil { // what a crash left
		return err
	}
	block := isBlock(pv)
	_, err := os.Stat(source)
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case gone && !unused:
		return fmt.Errorf("path %q, which this volume is to be a copy of, does not exist", source)
	case err != nil && !gone:
		return err
	}
	err = sizelimit.Mkdir(begun)
	switch {
	case err != nil:
	case gone:
		err = empty(begun, block)
	default:
		err = copytree.Copy(ctx, source, begun)
	}
	if err == nil && block {
		size := pv.Spec.Capacity[corev1.ResourceStorage]
		err = loopdev.Resize(filepath.Join(begun, volume.LocalBlocks), size.Value())
	}
	if err != nil {
		// Half of it may be what filled the disk.
		return errors.Join(err, remove(begun))
	}
	if err := os.Rename(begun, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// empty makes an empty folder that of a volume that was never used.
func empty(path string, block bool) error {
	if block {
		return os.WriteFile(filepath.Join(path, volume.LocalBlocks), nil, 0o600)
	}
	return os.Chmod(path, 0o777)
}
