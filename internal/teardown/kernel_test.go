package teardown

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// A process that is left in a control group does not keep it there.
func TestRemoveCgroupsKillsWhatIsInside(t *testing.T) {
	name := "berth-test-" + strconv.Itoa(os.Getpid())
	roots, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("/sys/fs/cgroup", name)
	if len(roots) > 0 {
		dir = filepath.Join(filepath.Dir(roots[0]), name)
	}
	inner := filepath.Join(dir, "besteffort", "pod")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Skip(err) // no right to make control groups here
	}
	left := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(left.Process.Pid)), 0o600); err != nil {
		_ = left.Process.Kill()
		t.Skip(err)
	}
	if err := removeCgroups(name); err != nil {
		t.Error(err)
	}
	if err := left.Wait(); err == nil {
		t.Error("the process ended well")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
