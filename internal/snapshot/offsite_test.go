package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// shelf is a Store in memory.
type shelf struct {
	mu     sync.Mutex
	has    []string // keys
	fail   error
	tidied int
	sent   []string
}

func (s *shelf) List(_ context.Context, folder string) (names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.has {
		if path.Dir(key) == folder {
			names = append(names, path.Base(key))
		}
	}
	return names, nil
}

func (s *shelf) Send(_ context.Context, key, file string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := os.Stat(file); err != nil {
		return err
	}
	if s.fail != nil {
		return s.fail
	}
	s.has, s.sent = append(s.has, key), append(s.sent, path.Base(key))
	return nil
}

func (s *shelf) Remove(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has = slices.DeleteFunc(s.has, func(k string) bool { return k == key })
	return nil
}

func (s *shelf) Tidy(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidied++
	return errors.New("this store cannot do that")
}

func (s *shelf) keys() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.has)
	return strings.Join(s.has, " ")
}

func (s *shelf) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

var day = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

func put(t *testing.T, f Folder, why string, at time.Time) string {
	t.Helper()
	file, err := f.Path(why, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(file)
}

// Copies are made at the start and after each snapshot; what fails is said, and
// tried again ever less often, and the local files stay as they are.
func TestOffsite(t *testing.T) {
	folder := Folder(filepath.Join(t.TempDir(), "snapshots"))
	one := put(t, folder, Scheduled, day)
	put(t, folder, Saved, day)
	clock := clocktesting.NewFakeClock(day)
	there := &shelf{has: []string{"c/n2/" + one, "c/n1/" + Name(Saved, day), "c/n1/notes.txt", "c/n1/x/" + Name(Scheduled, day.Add(-time.Hour))}}
	foreign := there.keys()
	report, taken := NewReport(folder, "s3://b/c/n1"), make(chan struct{}, 1)
	opened := make(chan error) // each turn takes one: nil opens the store
	o := Offsite{
		Folder: folder, Under: "c/n1", Keep: 2, Clock: clock, Log: slog.New(slog.DiscardHandler), Report: report, Taken: taken,
		Open: func(ctx context.Context) (Store, error) {
			select {
			case err := <-opened:
				return there, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	until := func(what string, ok func() bool) {
		t.Log("waiting for", what) // for ever: the test's own deadline says where
		for !ok() {
			time.Sleep(time.Millisecond)
		}
	}
	failures := func(n int) func() bool { return func() bool { return report.State().S3.Failures == n } }
	newest := func(name string) func() bool { return func() bool { return report.State().S3.Newest == name } }

	opened <- errors.New("no bucket")
	until("the first failure", failures(1))
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute} { // as often, and no earlier
		until("a timer", clock.HasWaiters)
		clock.Step(wait - time.Second)
		select {
		case opened <- nil:
			t.Fatal("tried again too early")
		default:
		}
		clock.Step(time.Second)
		opened <- errors.New("no bucket")
	}
	until("the third failure", failures(3))
	if s := report.State().S3; s.Error != "no bucket" || !s.Since.Equal(day) || s.Newest != "" {
		t.Errorf("%+v", s)
	}
	until("a timer", clock.HasWaiters)
	two := put(t, folder, Scheduled, day.Add(time.Hour))
	taken <- struct{}{} // does not wait for the timer
	opened <- nil
	until("both copies", newest(two))
	if s := report.State().S3; s.Error != "" || s.Failures != 3 {
		t.Errorf("%+v", s)
	}
	three := put(t, folder, Scheduled, day.Add(2*time.Hour))
	taken <- struct{}{}
	opened <- nil
	until("the third copy", newest(three))
	want := strings.Join([]string{"c/n1/notes.txt", "c/n1/" + Name(Saved, day), "c/n1/" + two, "c/n1/" + three, "c/n1/x/" + Name(Scheduled, day.Add(-time.Hour)), "c/n2/" + one}, " ")
	until("the oldest to go", func() bool { return there.keys() == want })
	if strings.Join(there.sent, " ") != two+" "+one+" "+three {
		t.Errorf("sent were %v; the newest comes first", there.sent)
	}

	there.failing(errors.New("no room"))
	put(t, folder, Scheduled, day.Add(3*time.Hour))
	taken <- struct{}{}
	opened <- nil
	until("the failure", failures(4))
	if got := there.keys(); got != want {
		t.Errorf("after a failure there are %s, of others %s", got, foreign)
	}
	if all, err := folder.List(); err != nil || len(all) != 5 {
		t.Errorf("%v, %v: the local ones are not its to remove", all, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server that is being stopped in the middle of a copy has not failed.
func TestOffsiteStopped(t *testing.T) {
	folder := Folder(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	report := NewReport(folder, "s3://b")
	o := Offsite{Folder: folder, Clock: clocktesting.NewFakeClock(day), Log: slog.New(slog.DiscardHandler), Report: report, Open: func(ctx context.Context) (Store, error) {
		cancel()
		return nil, ctx.Err()
	}}
	if err := o.Run(ctx); err != nil || report.State().S3.Failures != 0 {
		t.Errorf("%v, %+v", err, report.State().S3)
	}
}

func TestReport(t *testing.T) {
	folder := Folder(t.TempDir())
	name := put(t, folder, Scheduled, day)
	put(t, folder, Saved, day.Add(time.Hour))
	r := NewReport(folder, "")
	r.folder(nil, errors.New("the disk is full"), day.Add(2*time.Hour))
	r.folder(nil, errors.New("the disk is still full"), day.Add(3*time.Hour))
	r.bucket(nil, errors.New("there is none"), day)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, StatePath, nil))
	var got State
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := Place{Where: string(folder), Newest: name, Time: day, Error: "the disk is still full", Since: day.Add(2 * time.Hour), Failures: 2}
	if got.Folder != want || got.S3 != nil {
		t.Errorf("%s", w.Body)
	}
	w = httptest.NewRecorder()
	if r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, StatePath, nil)); w.Code != http.StatusMethodNotAllowed {
		t.Error(w.Code)
	}
}
