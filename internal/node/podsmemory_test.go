package node

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCgroupMemory(t *testing.T) {
	write := func(root, name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	legacy, unified := t.TempDir(), t.TempDir()
	write(legacy, "memory/pods/memory.usage_in_bytes", "1000\n")
	write(legacy, "memory/pods/memory.stat", "active_file 7\ntotal_rss 600\ntotal_inactive_file 300\ntotal_active_file 50\n")
	write(unified, "cgroup.controllers", "memory\n")
	write(unified, "pods/memory.current", "1000\n")
	write(unified, "pods/memory.stat", "anon 600\ninactive_file 300\nactive_file 60\n")
	for root, want := range map[string]int64{legacy: 650, unified: 640} {
		if got, err := cgroupMemory(root, "/pods"); got != want || err != nil {
			t.Errorf("%d %v, want %d", got, err, want)
		}
		if got, err := cgroupMemory(root, "/none"); got != 0 || err != nil {
			t.Errorf("without a pod: %d %v", got, err)
		}
	}
}
