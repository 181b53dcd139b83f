package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/csi"
)

// drives is what is remembered of drivers' volumes. Losing it costs calls that
// may be repeated, nothing else.
type drives struct {
	mu      sync.Mutex
	busy    map[corev1.UniqueVolumeName]*turn // of the volumes that somebody works on, or waits to
	ready   map[corev1.UniqueVolumeName]bool  // staged
	waiting map[string]map[types.UID]bool     // pods by the driver they wait for
}

// turn is held by who works on a volume.
type turn struct {
	held  chan struct{}
	count int // of who holds it or waits for it
}

// alone waits until nobody else works on a volume.
func (d *drives) alone(ctx context.Context, u driverUse) (release func(), err error) {
	d.mu.Lock()
	if d.busy == nil {
		d.busy = map[corev1.UniqueVolumeName]*turn{}
	}
	mine := d.busy[u.key()]
	if mine == nil {
		mine = &turn{held: make(chan struct{}, 1)}
		d.busy[u.key()] = mine
	}
	mine.count++
	d.mu.Unlock()
	leave := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if mine.count--; mine.count == 0 {
			delete(d.busy, u.key())
		}
	}
	select {
	case mine.held <- struct{}{}:
		return func() { <-mine.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

func (d *drives) isStaged(u driverUse) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready[u.key()]
}

func (d *drives) staged(u driverUse, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready == nil {
		d.ready = map[corev1.UniqueVolumeName]bool{}
	}
	if delete(d.ready, u.key()); is {
		d.ready[u.key()] = true
	}
}

func (d *drives) await(driver string, uid types.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = map[string]map[types.UID]bool{}
	}
	if d.waiting[driver] == nil {
		d.waiting[driver] = map[types.UID]bool{}
	}
	d.waiting[driver][uid] = true
}

// gone forgets a pod that waits for drivers no more.
func (d *drives) gone(uid types.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for driver, pods := range d.waiting {
		if delete(pods, uid); len(pods) == 0 {
			delete(d.waiting, driver)
		}
	}
}

// DriverCame lets pods try again that wait for a driver, and ends what it was
// away for.
func (v *Volumes) DriverCame(driver string) {
	v.drives.mu.Lock()
	pods := v.drives.waiting[driver]
	delete(v.drives.waiting, driver)
	v.drives.mu.Unlock()
	for uid := range pods {
		v.queue.Add(uid)
		if v.cfg.Changed != nil {
			v.cfg.Changed(uid)
		}
	}
	select {
	case v.left <- struct{}{}:
	default:
	}
}

// releaseDriven takes a pod's volumes back from it, through their drivers, and
// from the node when nobody else here uses them.
func (v *Volumes) releaseDriven(ctx context.Context, uid types.UID) error {
	uses, err := v.usesOf(uid)
	problems := []error{err}
	for _, u := range uses {
		if err := v.unpublish(ctx, uid, u); err != nil {
			problems = append(problems, &Error{Volume: u.PV, Step: "UnmountVolume.TearDown failed", Err: err})
		}
	}
	return errors.Join(problems...)
}

func (v *Volumes) unpublish(ctx context.Context, uid types.UID, u driverUse) error {
	release, err := v.drives.alone(ctx, u)
	if err != nil {
		return err
	}
	defer release()
	target := v.target(uid, u)
	if u.Begun {
		driver, err := v.driverEnding(u, uid, "Unmounter.TearDownAt failed to get CSI client")
		if err != nil {
			return err
		}
		if err := driver.Unpublish(ctx, u.Handle, target); err != nil {
			return err
		}
		if err := dropTarget(target); err != nil {
			return err
		}
	}
	if u.Block {
		_ = os.Remove(filepath.Dir(target))
	}
	if err := v.unstage(ctx, u, uid); err != nil {
		return err
	}
	if err := v.notes.remove(filepath.Join(v.useDir(uid, u.PV), useNote)); err != nil {
		return err
	}
	v.notInUse(u)
	return nil
}

// dropTarget removes what the driver may have left of a place that it has given
// up. Nothing that is still mounted is touched.
func dropTarget(target string) error {
	if isMountPoint(target) {
		if err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("the driver left %s mounted: %w", target, err)
		}
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unstage takes a volume from the node when no pod but this one uses it.
func (v *Volumes) unstage(ctx context.Context, u driverUse, last types.UID) error {
	note := v.stagedNote(u)
	if _, err := os.Lstat(note); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if used, err := v.notes.usedByOthers(u, last); used || err != nil {
		return err
	}
	driver, err := v.driverEnding(u, last, "attacher.UnmountDevice failed to create newCsiDriverClient")
	if err != nil {
		return err
	}
	staging := v.staging(u)
	v.drives.staged(u, false)
	if err := driver.Unstage(ctx, u.Handle, staging); err != nil {
		return fmt.Errorf("UnmountDevice failed for volume %q: %w", u.PV, err)
	}
	if err := dropTarget(staging); err != nil {
		return err
	}
	if err := v.notes.remove(note); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(note))
	_ = os.Remove(filepath.Dir(filepath.Dir(note)))
	return nil
}

// driverEnding is the driver that takes a volume back from a pod, or from the node
// when there is none. The pod is told when a driver that is away has come.
func (v *Volumes) driverEnding(u driverUse, uid types.UID, step string) (*csi.Driver, error) {
	driver, err := v.cfg.Drivers.Driver(u.Driver)
	if err != nil && uid != "" {
		v.drives.await(u.Driver, uid)
		driver, err = v.cfg.Drivers.Driver(u.Driver) // it may have come between the two
	}
	if err != nil {
		return nil, fmt.Errorf("kubernetes.io/csi: %s: %w", step, err)
	}
	return driver, nil
}

// unstageLeft takes volumes from the node that were staged for pods which are
// gone: berth was killed in between.
func (v *Volumes) unstageLeft(ctx context.Context) error {
	staged, err := v.stagedUses()
	problems := []error{err}
	for _, u := range staged {
		release, err := v.drives.alone(ctx, u)
		if err != nil {
			return err
		}
		if err := v.unstage(ctx, u, ""); err != nil && !notRegistered(err) {
			problems = append(problems, err)
		}
		release()
		v.notInUse(u)
	}
	return errors.Join(problems...)
}

// followLeft unstages what was left whenever a driver has come.
func (v *Volumes) followLeft(ctx context.Context) {
	for {
		select {
		case <-v.left:
			if err := v.unstageLeft(ctx); err != nil && ctx.Err() == nil {
				v.cfg.Log.Warn("volumes of former pods stay staged", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// notInUse tells the API when an attached volume may be detached.
func (v *Volumes) notInUse(u driverUse) {
	if u.Attachment != "" && v.cfg.InUseChanged != nil && !slices.Contains(v.notes.InUse(), u.key()) {
		v.cfg.InUseChanged()
	}
}
