package datadir

import (
	"os"
	"path/filepath"
	"testing"
)

// Others may pass through to what containers run from, and to nothing else, also
// where a former version closed the directory as a whole.
func TestWhoMayPass(t *testing.T) {
	for _, before := range []bool{false, true} {
		d := Dir(filepath.Join(t.TempDir(), "data"))
		if before {
			for path, mode := range map[string]os.FileMode{"": 0o700, "kubelet": 0o755, "log": 0o755, "volumes": 0o711} {
				if err := os.MkdirAll(d.join(path), mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(d.join(path), mode); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := d.Create(); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(d.Run())
		entries, err := os.ReadDir(d.Path())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := os.Stat(d.join(e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			want := os.FileMode(0)
			if e.Name() == "run" {
				want = 0o011
			}
			if got := info.Mode().Perm() & 0o077; got != want {
				t.Errorf("before: %v, %s is %v to others, want %v", before, e.Name(), got, want)
			}
		}
		if info, err := os.Stat(d.Path()); err != nil || info.Mode().Perm() != 0o711 {
			t.Errorf("before: %v: %v %v", before, info.Mode(), err)
		}
	}
}
