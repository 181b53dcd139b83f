// Package snapshot keeps copies of the datastore in a folder: it takes them at
// set times, lists them, and removes the oldest.
package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/internal/base/datadir"
)

// Why a snapshot was taken. Only scheduled ones are ever removed.
const (
	Saved     = "saved"
	Scheduled = "scheduled"
)

const (
	stamp = "20060102T150405Z"
	end   = ".db"
)

// Folder holds snapshots, each in a file WHY-TIME.db that only root reads.
type Folder string

// File is a snapshot in a folder.
type File struct {
	Name string
	Why  string
	Time time.Time // UTC, whole seconds
	Size int64     // in bytes
}

// Write makes a snapshot's file of what take writes. There is no file, unless
// it is whole and on the disk.
func Write(file string, take func(*os.File) error) error {
	if err := datadir.WriteWith(file, take); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file))
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Path is where a snapshot taken at a time goes. The folder is made.
func (f Folder) Path(why string, at time.Time) (string, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return "", err
	}
	return filepath.Join(string(f), Name(why, at)), nil
}

// Name is that of a snapshot taken at a time.
func Name(why string, at time.Time) string { return why + "-" + at.UTC().Format(stamp) + end }

// List are the snapshots, the oldest first. Other files are none.
func (f Folder) List() ([]File, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []File
	for _, e := range entries {
		one, ok := Parsed(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		one.Size = info.Size()
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b File) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// Parsed is what a snapshot's name says. Other names are none.
func Parsed(name string) (File, bool) {
	base, ok := strings.CutSuffix(name, end)
	if !ok {
		return File{}, false
	}
	why, at, ok := strings.Cut(base, "-")
	if !ok || (why != Saved && why != Scheduled) {
		return File{}, false
	}
	t, err := time.Parse(stamp, at)
	return File{Name: name, Why: why, Time: t}, err == nil
}

// surplus are the scheduled snapshots beyond the keep newest of them.
func surplus(all []File, keep int) []File {
	scheduled := slices.DeleteFunc(slices.Clone(all), func(f File) bool { return f.Why != Scheduled })
	return scheduled[:max(0, len(scheduled)-keep)]
}

// prune removes what is surplus, and what crashes have left of earlier writes.
func (f Folder) prune(keep int) error {
	all, err := f.List()
	if err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(string(f), "."+Scheduled+"-*"))
	if err != nil {
		return err
	}
	for _, s := range surplus(all, keep) {
		left = append(left, filepath.Join(string(f), s.Name))
	}
	var failed []error
	for _, name := range left {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
