package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/node/loopdev"
)

// removeLoops takes the block devices away that show files below dir: they go
// when a machine is switched off, and are no part of any namespace that a host has.
func removeLoops(t testing.TB, dir string) {
	t.Helper()
	shown, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is good
	for _, name := range shown {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just gone
		}
		file := strings.TrimSpace(string(text))
		if !strings.HasPrefix(file, dir+"/") {
			continue
		}
		of, err := loopdev.Of(file)
		if err == nil {
			err = loopdev.Detach(of)
		}
		if err != nil {
			t.Errorf("take down the device of %s: %v", file, err)
		}
	}
}
