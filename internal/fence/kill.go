package fence

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where the kernel's control groups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// killFor bounds one try; whoever calls tries again.
const killFor = 2 * time.Second

// kill kills all processes in a control group and those below it, in every
// hierarchy, and returns how many it found.
func kill(root, cgroup string) int {
	if cgroup = filepath.Clean("/" + cgroup); cgroup == "/" {
		return 0 // never everything
	}
	dirs, _ := filepath.Glob(root + "/*" + cgroup)
	dirs = append(dirs, root+cgroup)
	killed := map[int]bool{}
	for end := Now() + killFor; Now() < end; {
		for _, dir := range dirs { // all at once where the kernel can (version 2)
			_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		}
		left := false
		for _, dir := range dirs {
			for _, pid := range members(dir) {
				if alive(pid) && unix.Kill(pid, unix.SIGKILL) == nil {
					left, killed[pid] = true, true
				}
			}
		}
		if !left {
			break
		}
		time.Sleep(time.Millisecond) // for what forked meanwhile, and for what is just ending
	}
	return len(killed)
}

// members are the processes in a control group and below.
func members(dir string) []int {
	var out []int
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for word := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
				out = append(out, pid)
			}
		}
		return nil
	})
	return out
}

// alive is false for what has ended and only waits to be buried.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	end := strings.LastIndexByte(string(stat), ')')
	return end > 0 && len(stat) > end+2 && stat[end+2] != 'Z' && stat[end+2] != 'X'
}
