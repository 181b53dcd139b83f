package volume

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const inNamespace = "BERTH_TEST_MOUNT_NAMESPACE"

// TestMain runs the tests in a mount namespace of their own, so that nothing
// mounted by them can be seen or left behind outside.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inNamespace) != "" {
		os.Exit(m.Run())
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), inNamespace+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := c.Run(); err != nil {
		if c.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "cannot make a mount namespace:", err)
			os.Exit(1)
		}
		os.Exit(c.ProcessState.ExitCode())
	}
	os.Exit(0)
}

// needsMounts skips a test where mounting is not possible.
func needsMounts(t testing.TB) {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		t.Skip("needs root for a mount namespace")
	}
}
