package loopdev_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/node/loopdev"
)

func TestAttachAndDetach(t *testing.T) {
	if f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0); err != nil {
		t.Skipf("no loop devices here: %v", err)
	} else {
		_ = f.Close()
	}
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := loopdev.Of(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loopdev.Detach(file); err != nil {
			t.Error(err)
		}
	})
	device, err := loopdev.Attach(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := loopdev.Attach(path); again != device || err != nil {
		t.Errorf("%s, then %s %v", device, again, err)
	}
	if err := loopdev.Resize(path, 2<<20-1); err != nil {
		t.Fatal(err)
	}
	if sectors, err := os.ReadFile("/sys/block/" + filepath.Base(device) + "/size"); err != nil || strings.TrimSpace(string(sectors)) != "4096" {
		t.Errorf("after growth %s sectors, %v", sectors, err)
	}
	if err := loopdev.Resize(path, 1); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 2<<20 {
		t.Errorf("made smaller: %v, %v", info, err)
	}
	d, err := os.OpenFile(device, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Write([]byte("written"))
	if err := errorsOf(err, d.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text[:7]) != "written" {
		t.Errorf("%q %v", text[:7], err)
	}
	// The file may be gone by now.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := loopdev.Detach(file); err != nil {
			t.Error(err)
		}
	}
	if _, err := loopdev.Attach(path); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func errorsOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}
