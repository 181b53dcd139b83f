package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/plan/podspec"
)

// Both versions of cgroups, on a folder that looks like one.
func TestLimitsOfACgroup(t *testing.T) {
	small := podspec.Resources{CPUShares: 2, CPUQuota: 20_000, CPUPeriod: 100_000, Memory: 64 << 20}
	large := podspec.Resources{CPUShares: 1024, CPUQuota: 50_000, CPUPeriod: 100_000, Memory: 32 << 20}
	free := podspec.Resources{CPUShares: 262144, CPUQuota: -1, CPUPeriod: 100_000}
	read := func(dir string) map[string]string {
		out := map[string]string{}
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			out[filepath.Base(f)] = string(text)
		}
		return out
	}
	for name, c := range map[string]struct {
		set                                func(podspec.Resources) map[string][]setting
		folder                             string
		first, widened, narrowed, unlocked map[string]string
	}{
		"version 2": {
			set:      func(r podspec.Resources) map[string][]setting { return map[string][]setting{"": unifiedSettings(r)} },
			first:    map[string]string{"cpu.weight": "1", "cpu.max": "20000 100000", "memory.max": "67108864"},
			widened:  map[string]string{"cpu.weight": "39", "cpu.max": "50000 100000", "memory.max": "67108864"},
			narrowed: map[string]string{"cpu.weight": "39", "cpu.max": "50000 100000", "memory.max": "33554432"},
			unlocked: map[string]string{"cpu.weight": "10000", "cpu.max": "max 100000", "memory.max": "max"},
		},
		"version 1": {
			set: legacySettings, folder: "cpu",
			first:    map[string]string{"cpu.shares": "2", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000"},
			widened:  map[string]string{"cpu.shares": "1024", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"},
			narrowed: map[string]string{"cpu.shares": "1024", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"},
			unlocked: map[string]string{"cpu.shares": "262144", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"},
		},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, c.folder, "pod")
		for controller := range c.set(small) {
			if err := os.MkdirAll(filepath.Join(root, controller, "pod"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			r     podspec.Resources
			exact bool
			want  map[string]string
		}{{small, true, c.first}, {large, false, c.widened}, {large, true, c.narrowed}, {free, false, c.unlocked}} {
			if err := limit(root, "pod", c.set(step.r), step.exact); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(step.want, read(dir)); diff != "" {
				t.Errorf("%s, %+v, exact %t: %s", name, step.r, step.exact, diff)
			}
		}
	}
}

// A cgroup of version 2 has only the controllers that its parents hand down.
func TestControllersAreHandedDown(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"", "a", "a/b"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "cgroup.controllers"), []byte("cpu\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeUnified(root, "/a/b/c"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, dir := range []string{"", "a", "a/b", "a/b/c"} {
		text, err := os.ReadFile(filepath.Join(root, dir, "cgroup.subtree_control"))
		got = append(got, string(text)+map[bool]string{true: "none"}[os.IsNotExist(err)])
	}
	if want := "+cpu +cpu +cpu none"; strings.Join(got, " ") != want {
		t.Errorf("handed down %q, want %q", got, want)
	}
}

// The class of a pod has its share of the processors in both versions; a class
// without a cgroup is left alone.
func TestSharesOfAClass(t *testing.T) {
	for name, c := range map[string]struct{ marker, file, want string }{
		"version 1": {"", "cpu/berth/burstable/cpu.shares", "1024"},
		"version 2": {"cgroup.controllers", "berth/burstable/cpu.weight", "39"},
	} {
		root := t.TempDir()
		file := filepath.Join(root, c.file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if c.marker != "" {
			if err := os.WriteFile(filepath.Join(root, c.marker), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := setShares(root, "/berth/burstable", 1024); !os.IsNotExist(err) {
			t.Errorf("%s: a cgroup that is not there: %v", name, err)
		}
		if err := os.WriteFile(file, []byte("262144"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := setShares(root, "/berth/burstable", 1024); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(file); string(got) != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
