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

// part is where a part of the program's file is mapped, as it lies on disk. One
// that was ever written to holds variables, or addresses that the dynamic linker
// filled in before it took the right to write away: that is nobody's to drop.
type part struct{ start, end uintptr }

func programParts() ([]part, error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	defer maps.Close()
	var parts []part
	var current part // zero while the lines are about something else
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		// The first word of a mapping's head has no colon, those of its properties have.
		if head, rest, _ := strings.Cut(line, " "); !strings.HasSuffix(head, ":") {
			var p part
			if _, err := fmt.Sscanf(head, "%x-%x", &p.start, &p.end); err != nil || len(rest) < 4 {
				return nil, fmt.Errorf("/proc/self/smaps: line %q", line)
			}
			current = part{}
			if strings.HasSuffix(rest, " "+program) && rest[1] == '-' && rest[3] == 'p' {
				current = p
			}
		} else if fields := strings.Fields(line); head == "Anonymous:" && len(fields) > 1 && fields[1] == "0" && current != (part{}) {
			parts = append(parts, current)
		}
	}
	return parts, lines.Err()
}
