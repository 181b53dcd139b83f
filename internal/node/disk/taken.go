// Package disk measures what lies on the disks of a node: what a folder takes,
// what a file system has left, what containers have written.
package disk

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Taken is what a folder takes of its disk.
type Taken struct{ Bytes, Inodes int64 }

// Add adds what another folder takes.
func (t *Taken) Add(other Taken) {
	t.Bytes += other.Bytes
	t.Inodes += other.Inodes
}

// Du counts a folder on its own file system, a file with several names once.
// What vanishes meanwhile does not count.
func Du(ctx context.Context, root string) Taken {
	var sum Taken
	var device uint64
	linked := map[uint64]bool{}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var st unix.Stat_t
		if err != nil || unix.Lstat(path, &st) != nil {
			return nil
		}
		if path == root {
			device = st.Dev
		} else if st.Dev != device {
			return fs.SkipDir
		}
		if st.Nlink > 1 && !d.IsDir() {
			if linked[st.Ino] {
				return nil
			}
			linked[st.Ino] = true
		}
		sum.Add(Taken{st.Blocks * 512, 1})
		return nil
	})
	return sum
}

// Layers are the folders that containers write to, by container ID: the upper
// folders of their overlay mounts below the runtime's state.
func Layers(mountinfo, state string) (map[string]string, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // an image may have many layers
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		inside, ok := strings.CutPrefix(fields[4], state+"/")
		if id, ok2 := strings.CutSuffix(inside, "/rootfs"); ok && ok2 {
			for _, option := range strings.Split(fields[len(fields)-1], ",") {
				if upper, ok := strings.CutPrefix(option, "upperdir="); ok {
					found[filepath.Base(id)] = upper
				}
			}
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return nil, err
	}
	return found, nil
}
