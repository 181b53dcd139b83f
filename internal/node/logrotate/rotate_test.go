package logrotate

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"
)

// bench is a rotator over one log, whose runtime makes an empty file.
func bench(t *testing.T) (r *Rotator, path string, clk *testclock.FakeClock) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "0.log")
	clk = testclock.NewFakeClock(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC))
	r = New(Config{
		MaxSize: 100, MaxFiles: 4, Clock: clk, Log: slog.New(slog.DiscardHandler),
		Logs:   func() []Log { return []Log{{"c1", path}} },
		Reopen: func(context.Context, string) error { return os.WriteFile(path, nil, 0o640) },
	})
	write(t, path, "")
	return r, path, clk
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRotation(t *testing.T) {
	r, path, clk := bench(t)
	for i := range 6 {
		write(t, path, fmt.Sprint(i, strings.Repeat("x", 100)))
		r.pass(t.Context())
		r.packAll(t.Context())
		if i != 3 {
			clk.Step(time.Minute) // two within one second keep their order
		}
	}
	want := []string{"0.log", "0.log.20260102-150705.gz", "0.log.20260102-150706.gz", "0.log.20260102-150805"}
	if diff := cmp.Diff(want, names(t, path)); diff != "" {
		t.Error(diff)
	}
	f, err := os.Open(filepath.Join(filepath.Dir(path), want[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != "3"+strings.Repeat("x", 100) {
		t.Errorf("%s %v", text, err)
	}
}

func TestRotationThatFails(t *testing.T) {
	r, path, _ := bench(t)
	write(t, path, strings.Repeat("x", 100))
	r.cfg.Reopen = func(context.Context, string) error { return errors.New("no") }
	r.pass(t.Context())
	if info, err := os.Stat(path); err != nil || info.Size() != 100 {
		t.Errorf("the log is not where it was: %v", err)
	}
	if diff := cmp.Diff([]string{"0.log"}, names(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestRotationAfterACrash(t *testing.T) {
	r, path, _ := bench(t)
	for _, name := range []string{".20260101-000000", ".20260101-000000.gz", ".20260101-000001", ".20260101-000001.tmp", ".other"} {
		write(t, path+name, "left")
	}
	write(t, path, strings.Repeat("x", 100))
	r.pass(t.Context())
	r.packAll(t.Context())
	want := []string{"0.log", "0.log.20260101-000000.gz", "0.log.20260101-000001.gz", "0.log.20260102-150405", "0.log.other"}
	if diff := cmp.Diff(want, names(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestPace(t *testing.T) {
	r, path, clk := bench(t)
	for _, step := range []struct {
		size int
		want time.Duration
	}{{0, longest}, {1, longest}, {51, 9800 * time.Millisecond}, {99, shortest}, {100, time.Second}, {0, longest}, {10000, shortest}, {10000, shortest}} {
		write(t, path, strings.Repeat("x", step.size))
		if got := r.pass(t.Context()); got != step.want {
			t.Errorf("at %d bytes: again in %s, want %s", step.size, got, step.want)
		}
		clk.Step(10 * time.Second)
	}
}

// However fast a log grows and however long compressing takes, no more than the
// files that are kept are on the disk, and their names tell their order.
func TestFastLog(t *testing.T) {
	r, path, clk := bench(t)
	for i := range 50 {
		write(t, path, fmt.Sprintf("%03d%s", i, strings.Repeat("x", 1000)))
		r.pass(t.Context())
		if i%7 == 0 {
			r.packAll(t.Context())
		}
		all := names(t, path)
		if len(all) > r.cfg.MaxFiles {
			t.Fatalf("pass %d: %q", i, all)
		}
		if i > 0 {
			newest, err := os.ReadFile(filepath.Join(filepath.Dir(path), all[len(all)-1]))
			if err != nil || !strings.HasPrefix(string(newest), fmt.Sprintf("%03d", i)) {
				t.Fatalf("pass %d: the newest of %q holds %.3s, %v", i, all, newest, err)
			}
		}
		clk.Step(250 * time.Millisecond)
	}
}

// What is removed while it is compressed leaves nothing.
func TestRemovedWhileCompressed(t *testing.T) {
	r, path, _ := bench(t)
	aside := path + ".20260101-000000"
	write(t, aside, strings.Repeat("x", 3<<20))
	r.hold(aside)
	write(t, aside+unfinished, "begun")
	if all, err := r.rotated(path); err != nil || len(all) != 1 {
		t.Errorf("%q, %v", all, err)
	}
	if _, err := os.Lstat(aside + unfinished); err != nil {
		t.Errorf("what is under way was removed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := compress(ctx, aside); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if diff := cmp.Diff([]string{"0.log", "0.log.20260101-000000"}, names(t, path)); diff != "" {
		t.Error(diff)
	}
}
