package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Space is what a file system has, and what is left of it.
type Space struct {
	Capacity, Available, Used      int64 // bytes; what only root may take is neither
	Inodes, InodesFree, InodesUsed int64
}

// SpaceOf asks the file system that holds a path. One whose server does not
// answer lets the caller wait for ever; a Meter does not.
func SpaceOf(path string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return Space{}, err
		}
	}
	block := st.Frsize
	if block == 0 {
		block = st.Bsize
	}
	return Space{
		Capacity: int64(st.Blocks) * block, Available: int64(st.Bavail) * block, Used: int64(st.Blocks-st.Bfree) * block,
		Inodes: int64(st.Files), InodesFree: int64(st.Ffree), InodesUsed: int64(st.Files - st.Ffree),
	}, nil
}
