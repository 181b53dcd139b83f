package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"berth.dev/berth/internal/plan/podspec"
)

// Both versions of cgroups, on folders that look like them; a machine without
// the controller has nothing to set.
func TestLimitHugePages(t *testing.T) {
	pages := []podspec.HugePages{{Size: "2MB", Bytes: 4 << 20}, {Size: "1GB"}}
	for name, c := range map[string]struct {
		unified bool
		files   map[string]string // before: after
	}{
		"version 2": {true, map[string]string{"pod/hugetlb.2MB.max": "4194304", "pod/hugetlb.2MB.rsvd.max": "4194304", "pod/hugetlb.1GB.max": "0", "pod/memory.max": "max"}},
		"version 1": {false, map[string]string{"hugetlb/pod/hugetlb.2MB.limit_in_bytes": "4194304", "hugetlb/pod/hugetlb.1GB.limit_in_bytes": "0", "memory/pod/memory.limit_in_bytes": "max"}},
		"none":      {false, map[string]string{"memory/pod/memory.limit_in_bytes": "max"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file := range c.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte("max"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := limitHugePages(root, "pod", c.unified, pages); err != nil {
				t.Fatal(err)
			}
			for file, want := range c.files {
				if got, _ := os.ReadFile(filepath.Join(root, file)); string(got) != want {
					t.Errorf("%s: %s, want %s", file, got, want)
				}
			}
			if _, err := os.Stat(filepath.Join(root, "hugetlb")); name == "none" && err == nil {
				t.Error("a hierarchy was made up")
			}
		})
	}
}

func TestPageSizes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"hugepages-1048576kB", "hugepages-2048kB", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := readPageSizes(dir); !slices.Equal(got, []int64{2 << 20, 1 << 30}) {
		t.Errorf("%v", got)
	}
}
