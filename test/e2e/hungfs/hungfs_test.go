package hungfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A reader waits as long as the server is silent, also one that is killed.
func TestHang(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	fs, err := New()
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	served := make(chan error, 1)
	go func() { served <- fs.Serve() }()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fs.File().Fd())
	if err := unix.Mount("far", dir, "fuse", 0, options); err != nil {
		t.Skip("mount: ", err)
	}
	defer func() {
		if err := fs.Thaw(); err != nil {
			t.Error(err)
		}
		_ = unix.Unmount(dir, unix.MNT_DETACH) // if it is still there
	}()
	if got, err := os.ReadFile(filepath.Join(dir, Name)); err != nil || string(got) != Content {
		t.Fatalf("%q, %v", got, err)
	}
	reader := exec.CommandContext(t.Context(), "sh", "-c", "exec 3<"+filepath.Join(dir, Name)+"; read -r x <&3; echo; while :; do read -r x <&3; done")
	says, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := says.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- reader.Wait() }()
	fs.Hang()
	for began := time.Now(); fs.Reading() == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("nobody reads")
		}
	}
	if err := reader.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := fs.Thaw(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it did not end")
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it is still mounted")
	}
}
