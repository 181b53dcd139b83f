package memory

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseProgram takes the pages of the program's own file out of our memory;
// what is still needed is mapped again as it is touched, from the page cache.
// Half of the program is code and tables that only a start needs, and the
// kernel takes mapped pages of a program last.
func releaseProgram() error {
	parts, err := programParts()
	if err != nil {
		return err
	}
	for _, p := range parts {
		// Not unix.Madvise, which wants a slice: this is no memory of Go's.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, p.start, p.end-p.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("release %x-%x of the program: %w", p.start, p.end, errno)
		}
	}
	return nil
}

// part is where a part of the program's file is mapped, read only. A writable
// part holds variables and is nobody's to drop.
type part struct{ start, end uintptr }

func programParts() ([]part, error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer maps.Close()
	var parts []part
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var p part
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &p.start, &p.end, &rights); err != nil {
			return nil, fmt.Errorf("/proc/self/maps: %w", err)
		}
		if strings.HasSuffix(lines.Text(), " "+program) && rights[1] == '-' && rights[3] == 'p' {
			parts = append(parts, p)
		}
	}
	return parts, lines.Err()
}
