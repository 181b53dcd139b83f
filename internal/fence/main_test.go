package fence

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && filepath.Base(os.Args[0]) == "fence-of-a-test" {
		if err := Run(os.Args[1], os.Stderr); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is this test program by a name that makes it the fence.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	link := filepath.Join(t.TempDir(), "fence-of-a-test")
	must(t, os.Symlink(self, link))
	return link
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

// container is a process in a control group of its own.
type container struct {
	cgroup string
	cmd    *exec.Cmd
}

func (c container) runs() bool { return alive(c.cmd.Process.Pid) }

// start makes a container; the test is skipped where that needs more rights.
func start(t *testing.T, name string) container {
	t.Helper()
	c := container{cgroup: "/berth-test-" + strconv.Itoa(os.Getpid()) + "/besteffort/" + name}
	dir := filepath.Join(cgroupRoot, c.cgroup)
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err != nil {
		hierarchies, _ := filepath.Glob(cgroupRoot + "/*/cgroup.procs")
		if len(hierarchies) == 0 {
			t.Skip("no control groups here")
		}
		dir = filepath.Join(filepath.Dir(hierarchies[0]), c.cgroup)
	}
	inner := filepath.Join(dir, "container")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Skip(err)
	}
	// A shell that starts others all the time: what forks while it is killed is found too.
	c.cmd = exec.CommandContext(t.Context(), "sh", "-c", "while :; do sleep 0.01; done")
	must(t, c.cmd.Start())
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		kill(cgroupRoot, c.cgroup)
		for d := inner; filepath.Base(d) != "cgroup" && len(d) > len(cgroupRoot)+2 && filepath.Base(filepath.Dir(d)) != "fs"; d = filepath.Dir(d) {
			if err := unix.Rmdir(d); err != nil {
				break // another's, or the hierarchy's own
			}
		}
	})
	if err := os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(c.cmd.Process.Pid)), 0o600); err != nil {
		t.Skip(err)
	}
	return c
}
