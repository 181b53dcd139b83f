package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// holderFolder is set for a test program that runs in a pod and holds what only
// one of its name may hold.
const holderFolder = "BERTH_TEST_HOLDER"

// holderMain locks a file of the pod's name in a folder that all machines share,
// says so and serves its name until it is stopped. One that finds it locked says
// that instead.
func holderMain() {
	dir := os.Getenv(holderFolder)
	if dir == "" {
		return
	}
	name, err := os.Hostname()
	if err == nil {
		err = hold(dir, name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func hold(dir, name string) error {
	note := func(file string) error {
		f, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintf(f, "%s on %s\n", name, os.Getenv("NODE"))
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer lock.Close() // not before: a file that nobody has any more is closed, and its lock with it
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("another one holds it: %w", note("twice"))
	}
	if err := note("held"); err != nil {
		return err
	}
	go func() {
		_ = http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
			_, _ = io.WriteString(w, name)
		}))
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return nil
}

// heldIn reports whether somebody holds what a pod holds.
func heldIn(t *testing.T, dir, name string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name+".lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
