package runtime_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/node/runtime"
)

// bundle is where `make bundle` puts the programs.
func bundle(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../bin/bundle")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "containerd")); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and the bundle (make bundle)")
	}
	return dir
}

// start runs a Runtime until the returned stop is called.
func start(t *testing.T, cfg runtime.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- runtime.New(cfg, slog.New(slog.DiscardHandler)).Run(ctx, func() { close(ready) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Run ended before it was ready: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("containerd not ready after 30 s")
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func pid(t *testing.T, dir datadir.Dir) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir.Containerd(), "process.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `"pid":`)
	n, err := strconv.Atoi(rest[:strings.IndexAny(rest, ",}")])
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

// configFor is an instance of its own, which ends with the test.
func configFor(t *testing.T) runtime.Config {
	t.Helper()
	dir, err := datadir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := runtime.Config{Dir: dir, BundleDir: bundle(t), RestrictOOMScore: true}
	if err := dir.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runtime.Stop(cfg); err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir.Run())
	})
	return cfg
}

func TestContainerdOutlivesItsOwnerAndIsAdopted(t *testing.T) {
	cfg := configFor(t)
	dir := cfg.Dir

	stop := start(t, cfg)
	first := pid(t, dir)
	store, err := image.Open(dir.RuntimeSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pause := filepath.Join(cfg.BundleDir, "images", "pause.tar")
	for range 2 { // the second time there is nothing to do
		if err := store.Ensure(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
	}
	list, err := store.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != runtime.PauseImage {
		t.Fatalf("List = %v, %v; want only %s", list, err, runtime.PauseImage)
	}
	stop()

	stop = start(t, cfg)
	if again := pid(t, dir); again != first {
		t.Errorf("the running containerd (pid %d) was not adopted: pid is %d", first, again)
	}
	// Killed, also while it starts, it is started again with what it knew; sockets of dead shims go.
	dead, live := filepath.Join(dir.Run(), "s", "dead"), filepath.Join(dir.Run(), "s", "live")
	for _, path := range []string{dead, live} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if path == dead {
			l.Close()
			continue
		}
		defer l.Close()
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for starting := first; starting == first; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("containerd was not started again after SIGKILL")
		}
		if starting = pid(t, dir); starting != first {
			_ = syscall.Kill(starting, syscall.SIGKILL)
			first = starting
			break
		}
	}
	for pid(t, dir) == first || !answers(t, store) {
		if time.Now().After(deadline) {
			t.Fatal("containerd was not started again after SIGKILL")
		}
		time.Sleep(5 * time.Millisecond)
	}
	second := pid(t, dir)
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("the socket of a dead shim is still there: %v", err)
	}
	if _, err := os.Stat(live); err != nil {
		t.Error(err)
	}
	stop()

	// Another configuration replaces it.
	cfg.RestrictOOMScore = false
	stop = start(t, cfg)
	if third := pid(t, dir); third == second {
		t.Error("containerd with an old configuration was adopted")
	}
	stop()
}

func answers(t *testing.T, store *image.Store) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	list, err := store.List(ctx)
	return err == nil && len(list) == 1
}
