package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnsureEncryption(t *testing.T) {
	dir := t.TempDir()
	if path, err := EnsureEncryption(dir, false); path != "" || err != nil {
		t.Errorf("not asked for: %q, %v", path, err)
	}
	path, err := EnsureEncryption(dir, true)
	if err != nil || path != filepath.Join(dir, "encryption.yaml") {
		t.Fatalf("%q, %v", path, err)
	}
	first, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(first), "secretbox") {
		t.Fatalf("%s, %v", first, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for _, create := range []bool{true, false} {
		again, err := EnsureEncryption(dir, create)
		if now, _ := os.ReadFile(path); again != path || err != nil || string(now) != string(first) {
			t.Errorf("again: %q, %v, the same file: %t", again, err, string(now) == string(first))
		}
	}
	other, err := EnsureEncryption(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(other); string(second) == string(first) {
		t.Error("two clusters have the same key")
	}
}
