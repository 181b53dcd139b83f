package snapshot

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func names(t *testing.T, f Folder) string {
	t.Helper()
	entries, err := os.ReadDir(string(f))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// Snapshots come at their times, the oldest scheduled ones go, those that a user
// saved stay, and a failure removes nothing.
func TestPlan(t *testing.T) {
	folder := Folder(filepath.Join(t.TempDir(), "snapshots"))
	start := time.Date(2026, 1, 2, 3, 30, 0, 0, time.UTC)
	clock := clocktesting.NewFakeClock(start)
	mine, err := folder.Path(Saved, start.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{mine, filepath.Join(string(folder), "."+Scheduled+"-20260101T000000Z.db.123"), filepath.Join(string(folder), "notes.txt")} {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken, fails := make(chan struct{}), false
	p := Plan{Folder: folder, Schedule: "0 * * * *", Keep: 2, Clock: clock, Log: slog.New(slog.DiscardHandler), Take: func(_ context.Context, w io.Writer) error {
		defer func() { taken <- struct{}{} }()
		if fails {
			_, _ = io.WriteString(w, "half")
			return errors.New("the disk is full")
		}
		_, err := io.WriteString(w, "whole")
		return err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	next := func(to time.Time) {
		t.Helper()
		for !clock.HasWaiters() {
			time.Sleep(time.Millisecond)
		}
		clock.SetTime(to)
		<-taken
	}
	next(start.Add(30 * time.Minute))
	next(start.Add(90 * time.Minute))
	next(start.Add(150 * time.Minute))
	for !clock.HasWaiters() {
		time.Sleep(time.Millisecond)
	}
	want := "notes.txt saved-20260102T023000Z.db scheduled-20260102T050000Z.db scheduled-20260102T060000Z.db"
	if got := names(t, folder); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	fails = true
	next(start.Add(210 * time.Minute))
	for !clock.HasWaiters() {
		time.Sleep(time.Millisecond)
	}
	if got := names(t, folder); got != want {
		t.Errorf("after a failure: %s, want %s", got, want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	all, err := folder.List()
	if err != nil || len(all) != 3 || all[0].Why != Saved || all[2].Size != 5 || !all[2].Time.Equal(start.Add(150*time.Minute)) {
		t.Errorf("%+v, %v", all, err)
	}
	if info, err := os.Stat(filepath.Join(string(folder), all[2].Name)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others can read the cluster's secrets", info.Mode(), err)
	}
}

func TestFolderThatIsNotThere(t *testing.T) {
	if all, err := Folder(filepath.Join(t.TempDir(), "none")).List(); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
}

func TestScheduleThatNeverComes(t *testing.T) {
	p := Plan{Schedule: "0 0 30 2 *", Clock: clocktesting.NewFakeClock(time.Now())}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "never comes") {
		t.Error(err)
	}
	if _, err := Parse("every day"); err == nil || !strings.Contains(err.Error(), `"every day" is no cron schedule`) {
		t.Error(err)
	}
}

// A client never takes a part for the whole.
func TestServe(t *testing.T) {
	for _, c := range []struct {
		name  string
		take  func(context.Context, io.Writer) error
		code  int
		whole bool
	}{
		{"good", func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "db"); return err }, 200, true},
		{"fails at once", func(context.Context, io.Writer) error { return errors.New("no leader") }, 503, true},
		{"fails later", func(_ context.Context, w io.Writer) error {
			_, _ = w.Write(make([]byte, 1<<20))
			return errors.New("no leader")
		}, 200, false},
	} {
		server := httptest.NewUnstartedServer(Handler(c.take))
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.Start()
		got, err := http.Get(server.URL + Path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(got.Body)
		got.Body.Close()
		if got.StatusCode != c.code || (err == nil) != c.whole {
			t.Errorf("%s: %d, %v", c.name, got.StatusCode, err)
		}
		server.Close()
	}
}
