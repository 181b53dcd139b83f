package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"berth.dev/berth/internal/base/datadir"
)

// What a sandbox may do is little, and said of this machine only.
func TestPauseSeccomp(t *testing.T) {
	c := Config{Dir: datadir.Dir(t.TempDir())}
	if err := os.MkdirAll(filepath.Dir(c.PauseSeccomp()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.writePauseSeccomp(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.PauseSeccomp())
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		DefaultAction string
		Architectures []string
		Syscalls      []struct {
			Names  []string
			Action string
		}
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	if p.DefaultAction != "SCMP_ACT_ERRNO" || len(p.Architectures) != 1 || len(p.Syscalls) != 1 || p.Syscalls[0].Action != "SCMP_ACT_ALLOW" {
		t.Fatalf("%+v", p)
	}
	names := p.Syscalls[0].Names
	for _, need := range []string{"pause", "wait4", "execve", "exit_group", "rt_sigaction"} {
		if !slices.Contains(names, need) {
			t.Errorf("%s is not allowed", need)
		}
	}
	for _, no := range []string{"socket", "connect", "mount", "umount2", "unshare", "setns", "ptrace", "bpf", "keyctl", "init_module", "open_by_handle_at", "process_vm_writev", "io_uring_setup"} {
		if slices.Contains(names, no) {
			t.Errorf("%s is allowed", no)
		}
	}
	slices.Sort(names)
	if once := slices.Compact(slices.Clone(names)); len(once) != len(names) {
		t.Error("a name is there twice")
	}
}
