package sizelimit

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// folders is a kernel with project quotas, or with an error instead.
type folders struct {
	project map[string]attributes
	quotas  map[uint32]quota
	fails   error // of quotas
	absent  error // of attributes
}

func (f *folders) attributes(dir *os.File) (attributes, error) {
	return f.project[dir.Name()], f.absent
}

func (f *folders) setAttributes(dir *os.File, a attributes) error {
	f.project[dir.Name()] = a
	return nil
}

func (f *folders) quota(_ *os.File, project uint32) (quota, error) {
	q, known := f.quotas[project]
	if !known && f.fails == nil {
		return q, unix.ENOENT // as XFS; ext4 has an empty one
	}
	return q, f.fails
}

func (f *folders) setQuota(_ *os.File, project uint32, q quota) error {
	f.quotas[project] = q
	return nil
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func TestProjects(t *testing.T) {
	k := &folders{project: map[string]attributes{}, quotas: map[uint32]quota{}}
	one, two := filepath.Join(t.TempDir(), "pvc-1"), filepath.Join(t.TempDir(), "pvc-1") // the same name elsewhere
	for _, path := range []string{one, two} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := limitProject(k, open(t, path), "ext4", 10<<20); err != nil {
			t.Fatal(err)
		}
	}
	a, b := k.project[one], k.project[two]
	if a.project == b.project || a.project < firstProject || b.project > lastProject || a.flags&flagInherit == 0 {
		t.Errorf("projects %+v and %+v", a, b)
	}
	if q := k.quotas[a.project]; q.hard != 10<<10 || q.valid != withBlocks {
		t.Errorf("%+v", q)
	}

	// It grows with what is in it, in the same project.
	if err := os.WriteFile(filepath.Join(one, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(k.project)
	if err := limitProject(k, open(t, one), "ext4", 20<<20); err != nil || k.quotas[a.project].hard != 20<<10 || !maps.Equal(before, k.project) {
		t.Errorf("%v %+v", err, k.quotas)
	}
	dropProject(k, open(t, one))
	if k.quotas[a.project].hard != 0 || k.quotas[b.project].hard != 10<<10 {
		t.Errorf("%+v", k.quotas)
	}

	// What nobody may hold, and why.
	const mounted = "its file system (ext4) is mounted without project quotas: prjquota"
	for want, change := range map[string]func(*folders){
		mounted:                                  func(f *folders) { f.fails = unix.ESRCH },
		"its file system (ext4) has no projects": func(f *folders) { f.absent = unix.ENOTTY },
		"it was made when its file system (ext4) had no project quotas": func(*folders) {},
		"quotactl: " + unix.EIO.Error():                                 func(f *folders) { f.fails = unix.EIO },
	} {
		full := &folders{project: map[string]attributes{}, quotas: map[uint32]quota{}}
		change(full)
		err := limitProject(full, open(t, one), "ext4", 1<<20)
		if err == nil || err.Error() != want || len(full.project)+len(full.quotas) != 0 {
			t.Errorf("%v, want %s; %+v", err, want, full)
		}
		if not := (*NotHeld)(nil); errors.As(err, &not) == errors.Is(full.fails, unix.EIO) {
			t.Errorf("%v is a fact: %v", err, not != nil)
		}
	}
	// A number that a person chose is not given up by us.
	k.project[two], k.quotas[7] = attributes{project: 7}, quota{hard: 1}
	if dropProject(k, open(t, two)); k.quotas[7].hard != 1 {
		t.Errorf("%+v", k.quotas)
	}
}
