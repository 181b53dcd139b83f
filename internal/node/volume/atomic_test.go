package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// read returns what a container sees in dir: names and their text.
func read(t testing.TB, dir string) map[string]string {
	t.Helper()
	got, err := look(dir)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// look is read for a volume that may be changing at this moment.
func look(dir string) (map[string]string, error) {
	got := map[string]string{}
	var walk func(path, name string) error
	walk = func(path, name string) error {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), "..") {
				continue
			}
			full, key := filepath.Join(path, entry.Name()), filepath.Join(name, entry.Name())
			info, err := os.Stat(full)
			if err != nil {
				return err
			}
			if info.IsDir() {
				if err := walk(full, key); err != nil {
					return err
				}
				continue
			}
			data, err := os.ReadFile(full)
			if err != nil {
				return err
			}
			got[key] = string(data)
		}
		return nil
	}
	return got, walk(dir, "")
}

func texts(files map[string]file) map[string]string {
	out := map[string]string{}
	for name, f := range files {
		out[name] = string(f.data)
	}
	return out
}

func TestWriteAtomicLayout(t *testing.T) {
	dir := t.TempDir()
	files := map[string]file{"a": {data: []byte("1"), mode: 0o644}, "x/y/z": {data: []byte("2"), mode: 0o400}}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	if changed, err := writeAtomic(dir, files, nil, now); err != nil || !changed {
		t.Fatal(changed, err)
	}
	to, _ := os.Readlink(filepath.Join(dir, "..data"))
	if !strings.HasPrefix(to, "..2026_11_21_09_00_00.") {
		t.Errorf("..data leads to %q", to)
	}
	for name, want := range map[string]string{"a": "..data/a", "x": "..data/x"} {
		if got, _ := os.Readlink(filepath.Join(dir, name)); got != want {
			t.Errorf("%s leads to %q, want %q", name, got, want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "x/y/z"))
	if err != nil || info.Mode() != 0o400 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if changed, err := writeAtomic(dir, files, nil, now); err != nil || changed {
		t.Errorf("the same again: changed %v, %v", changed, err)
	}
	if again, _ := os.Readlink(filepath.Join(dir, "..data")); again != to {
		t.Error("the same again made a new directory")
	}
	delete(files, "x/y/z")
	files["a"] = file{data: []byte("1"), mode: 0o600}
	if changed, err := writeAtomic(dir, files, nil, now); err != nil || !changed {
		t.Errorf("another mode: changed %v, %v", changed, err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 3 { // ..2026…, ..data, a
		t.Errorf("left behind: %v", entries)
	}
}

// Whatever a crash left behind, the next write shows exactly the new files.
func TestWriteAtomicAfterAnyCrash(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		dir := filepath.Join(base, fmt.Sprint(runs))
		if err := os.Mkdir(dir, 0o755); err != nil {
			rt.Fatal(err)
		}
		name := rapid.SampledFrom([]string{"a", "b", "c/d", "c/e/f", "g.txt"})
		payload := rapid.MapOfN(name, rapid.SampledFrom([]string{"", "1", "2", "longer text"}), 0, 5)
		for range rapid.IntRange(1, 5).Draw(rt, "writes") {
			for _, trouble := range rapid.SliceOf(rapid.IntRange(0, 5)).Draw(rt, "crashes") {
				damage(dir, trouble)
			}
			files := map[string]file{}
			for name, text := range payload.Draw(rt, "files") {
				files[name] = file{data: []byte(text), mode: 0o644}
			}
			if _, err := writeAtomic(dir, files, nil, time.Now()); err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(texts(files), read(t, dir)); diff != "" {
				rt.Fatal(diff)
			}
			hidden, _ := filepath.Glob(filepath.Join(dir, "..2*"))
			if len(hidden) != 1 {
				rt.Fatalf("stale directories: %v", hidden)
			}
		}
	})
}

// damage does what a kill at some moment may leave.
func damage(dir string, kind int) {
	switch kind {
	case 0: // a new directory, half written, not switched to
		half := filepath.Join(dir, "..2026_01_01_00_00_00.half")
		_ = os.MkdirAll(filepath.Join(half, "c"), 0o700)
		_ = os.WriteFile(filepath.Join(half, "a"), []byte("torn"), 0o600)
	case 1: // the link made, not renamed
		_ = os.Symlink("..2026_01_01_00_00_00.half", filepath.Join(dir, "..data_tmp"))
	case 2: // switched, names not linked
		_ = os.Remove(filepath.Join(dir, "a"))
	case 3: // an old name still there
		_ = os.Symlink("..data/old", filepath.Join(dir, "old"))
	case 4: // files lost with the power
		if to, err := os.Readlink(filepath.Join(dir, "..data")); err == nil {
			_ = os.WriteFile(filepath.Join(dir, to, "a"), nil, 0o600)
		}
	case 5: // the directory itself lost
		if to, err := os.Readlink(filepath.Join(dir, "..data")); err == nil {
			_ = os.RemoveAll(filepath.Join(dir, to))
		}
	}
}

// A reader that holds on to ..data never sees files of two versions.
func TestWriteAtomicIsNeverTorn(t *testing.T) {
	dir := t.TempDir()
	version := func(n int) map[string]file {
		text := []byte(strings.Repeat(fmt.Sprint(n%10), 4096))
		return map[string]file{"a": {data: text, mode: 0o644}, "b": {data: text, mode: 0o644}}
	}
	if _, err := writeAtomic(dir, version(0), nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				current, err := os.OpenRoot(filepath.Join(dir, "..data"))
				if err != nil {
					continue // taken away between reading the link and following it
				}
				a, errA := current.ReadFile("a")
				b, errB := current.ReadFile("b")
				current.Close()
				if errA != nil || errB != nil {
					continue // the version has been removed meanwhile
				}
				if string(a) != string(b) || len(a) != 4096 {
					t.Error("a torn read")
					return
				}
				// The kernel follows the links one by one: like upstream's
				// layout, ours may take the old version away in between.
				if data, err := os.ReadFile(filepath.Join(dir, "a")); err == nil && len(data) != 4096 {
					t.Error("a torn read through the links")
				}
			}
		})
	}
	for n := 1; n < 300; n++ {
		if _, err := writeAtomic(dir, version(n), nil, time.Now()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

func FuzzFileName(f *testing.F) {
	for _, name := range []string{"a", "a/b", "/a", "..", "../a", "a/../b", "..data", "a//b", "./a", "a/.", "\x00", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		base := t.TempDir()
		dir := filepath.Join(base, "v")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := writeAtomic(dir, map[string]file{name: {data: []byte("x"), mode: 0o644}}, nil, time.Now())
		if entries, _ := os.ReadDir(base); len(entries) != 1 {
			t.Fatalf("%q wrote outside of its volume", name)
		}
		if err != nil {
			return
		}
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != "x" {
			t.Fatalf("%q was accepted but cannot be read: %v", name, err)
		}
	})
}
