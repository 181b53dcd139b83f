package memory

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// resident is how much of files is in our memory, in kB.
func resident(t *testing.T) (kb int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssFile:")
	for _, digit := range strings.TrimSpace(rest[:strings.Index(rest, "kB")]) {
		kb = 10*kb + int(digit-'0')
	}
	return kb
}

// All pages of the program are read, released, and the program goes on.
func TestReleaseProgram(t *testing.T) {
	parts, err := programParts()
	if err != nil || len(parts) < 2 {
		t.Fatalf("%v: %v; want code and constants at least", parts, err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	touch := func() {
		page := make([]byte, 1)
		for _, p := range parts {
			for at := p.start; at < p.end; at += 4096 {
				if _, err := memory.ReadAt(page, int64(at)); err != nil {
					t.Fatalf("read %x: %v", at, err)
				}
			}
		}
	}
	touch()
	before := resident(t)
	if err := releaseProgram(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after > before*3/4 {
		t.Errorf("%d kB of files were in memory, %d kB are", before, after)
	}
	touch()
}

// What was written into the program's file as we have it mapped is kept, also
// when nobody may write there any more: the dynamic linker leaves such parts.
func TestWrittenPartsAreKept(t *testing.T) {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page, err := unix.Mmap(int(file.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	page[0] = 42
	if err := unix.Mprotect(page, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if err := releaseProgram(); err != nil {
		t.Fatal(err)
	}
	if page[0] != 42 {
		t.Error("what was written is gone")
	}
}
