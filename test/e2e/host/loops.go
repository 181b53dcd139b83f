package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"berth.dev/berth/internal/node/loopdev"
)

// removeLoops takes the block devices away that show files below dir: they go
// when a machine is switched off, and are no part of any namespace that a host has.
func removeLoops(dir string) error {
	var failed error
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
			failed = errors.Join(failed, fmt.Errorf("take down the device of %s: %w", file, err))
		}
	}
	return failed
}
