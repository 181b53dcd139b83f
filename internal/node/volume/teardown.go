package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// TearDown unmounts everything below the pod's directory and removes it. It
// ends a Setup of the pod that is under way. What is mounted there is never
// deleted: a mount that cannot be taken away is an error, and the rest stays
// for the next call.
func (v *Volumes) TearDown(ctx context.Context, uid types.UID) error {
	if err := checkUID(uid); err != nil {
		return err
	}
	v.mu.Lock()
	st := v.pods[uid]
	if st == nil {
		st = &podState{}
		v.pods[uid] = st
	}
	if st.cancel != nil {
		st.cancel()
	}
	v.mu.Unlock()
	v.follows.release(uid)

	st.mu.Lock()
	defer st.mu.Unlock()
	st.gone = true
	v.certificates.forget(uid)
	had := v.hasAlone(uid)
	if err := errors.Join(v.releaseBlocks(uid), v.releaseDriven(ctx, uid)); err != nil { // before the notes of them go
		st.gone = false
		return err
	}
	if err := removeTree(ctx, v.PodDir(uid)); err != nil {
		st.gone = false
		return fmt.Errorf("remove the directory of pod %s: %w", uid, err)
	}
	v.mu.Lock()
	if v.pods[uid] == st {
		delete(v.pods, uid)
	}
	v.mu.Unlock()
	v.freeAlone(had)
	v.drives.gone(uid)
	return nil
}

// Pods returns the UIDs that have a directory on this node, so that what a
// crash or a force-deleted pod left behind can be torn down.
func (v *Volumes) Pods() ([]types.UID, error) {
	entries, err := os.ReadDir(filepath.Join(v.cfg.Root, "pods"))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var uids []types.UID
	for _, entry := range entries {
		if entry.IsDir() {
			uids = append(uids, types.UID(entry.Name()))
		}
	}
	return uids, nil
}

// TearDownOthers tears down every pod that has a directory here and is not to
// be kept: what was deleted by force while the agent was away.
func (v *Volumes) TearDownOthers(ctx context.Context, keep func(types.UID) bool) error {
	uids, err := v.Pods()
	if err != nil {
		return err
	}
	// Side by side: one whose server does not answer holds up nobody but itself.
	failed := make(chan error, len(uids))
	for _, uid := range uids {
		go func() {
			if keep(uid) {
				failed <- nil
				return
			}
			failed <- v.TearDown(ctx, uid)
		}()
	}
	var errs []error
	for range uids {
		select {
		case err := <-failed:
			errs = append(errs, err)
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	return errors.Join(errs...)
}

// removeTree unmounts everything below dir and removes it.
func removeTree(ctx context.Context, dir string) error {
	// Mount points are listed with their real names.
	real, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unmountUnder(filepath.Join(real, filepath.Base(dir))); err != nil {
		return err
	}
	parent, err := unix.Open(real, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: real, Err: err}
	}
	defer unix.Close(parent)
	return removeAt(ctx, parent, filepath.Base(dir), dir)
}

// removeAt removes name in the directory parent. It goes down only into
// directories of the same mount: openat2 says EXDEV at a mount point, also at
// a bind mount within one file system, and unlinkat says EBUSY.
func removeAt(ctx context.Context, parent int, name, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := unix.Unlinkat(parent, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	dir, err := openDir(parent, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.EXDEV) {
		return &os.PathError{Op: "remove", Path: path, Err: errors.New("something is mounted here, it is left alone")}
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	err = removeEntries(ctx, dir, path)
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

func removeEntries(ctx context.Context, fd int, path string) error {
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	// Removing while reading may hide entries: read until none is left.
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if err := removeAt(ctx, fd, name, filepath.Join(path, name)); err != nil {
				return err
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
		if _, err := dir.Seek(0, 0); err != nil {
			return err
		}
	}
}

// openDir opens a directory of the same mount, never through a link.
func openDir(parent int, name string) (int, error) {
	how := &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	}
	return openat2(parent, name, how)
}

// openat2 tries again when a rename elsewhere made the kernel unsure.
func openat2(dir int, path string, how *unix.OpenHow) (int, error) {
	for {
		fd, err := unix.Openat2(dir, path, how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
