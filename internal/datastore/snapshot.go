package datastore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	etcdsnapshot "go.etcd.io/etcd/etcdutl/v3/snapshot"
)

// restoredAhead is how far the revision of a restored datastore is ahead of its
// snapshot's. It is more than any cluster can have written since, so that nobody
// who saw the former datastore takes what comes for something that was seen.
const restoredAhead = 1_000_000_000

// Snapshot writes a consistent copy of the whole datastore, as etcdctl snapshot
// save does: the database and its SHA-256.
func (s *Store) Snapshot(ctx context.Context, to io.Writer) error {
	from, err := s.Client.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("take a snapshot of the datastore: %w", err)
	}
	defer from.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("take a snapshot of the datastore: %w", err)
	}
	return nil
}

// Content is what a snapshot's file holds.
type Content struct {
	// Revision is that of the last write in it, Keys how many objects there are,
	// with those of etcd's own history.
	Revision int64 `json:"revision"`
	Keys     int   `json:"keys"`
	// Size is in bytes.
	Size int64 `json:"size"`
}

// Inspect reads a snapshot's file through, and fails when it is damaged.
func Inspect(file string) (Content, error) {
	if err := looksWhole(file); err != nil {
		return Content{}, err
	}
	status, err := etcdsnapshot.NewV3(quietLogger()).Status(file)
	if err != nil {
		return Content{}, fmt.Errorf("%s is no snapshot of a datastore, or damaged: %w", file, err)
	}
	return Content{Revision: status.Revision, Keys: status.TotalKey, Size: status.TotalSize}, nil
}

// looksWhole compares the SHA-256 at the end of a snapshot's file: the library
// takes a damaged database's word for what is in it.
func looksWhole(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	content := info.Size() - sha256.Size
	if info.IsDir() || content <= 0 || content%512 != 0 { // whole sectors, as the library wants them
		return fmt.Errorf("%s is no snapshot of a datastore, or cut off", file)
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, f, content); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	want, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return fmt.Errorf("%s is damaged: its SHA-256 is not the one at its end", file)
	}
	return nil
}

// Restore makes the embedded datastore's folder dir, which must not exist, from a
// snapshot, for a server that is alone. A crash leaves no dir.
func Restore(file, dir string) (err error) {
	if err := looksWhole(file); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s exists; move it away first", dir)
	}
	part := dir + ".restore"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(part))
		}
	}()
	err = etcdsnapshot.NewV3(serverLogger(lastWords{dir: part, out: os.Stderr, exit: os.Exit})).Restore(etcdsnapshot.RestoreConfig{
		SnapshotPath: file, Name: aloneName, OutputDataDir: part, OutputWALDir: filepath.Join(part, "member", "wal"),
		PeerURLs: []string{neverListened.String()}, InitialCluster: aloneName + "=" + neverListened.String(), InitialClusterToken: newToken(),
		RevisionBump: restoredAhead, MarkCompacted: true,
	})
	if err != nil {
		return fmt.Errorf("%s cannot be restored: %w", file, err)
	}
	return os.Rename(part, dir)
}
