package disk

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestSpaceOf(t *testing.T) {
	dir := t.TempDir()
	got, err := SpaceOf(dir)
	if err != nil || got.Capacity <= 0 || got.Available > got.Capacity || got.Used > got.Capacity || got.InodesUsed+got.InodesFree != got.Inodes {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := SpaceOf(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// What is asked for again soon is not measured again, and later it is.
func TestMeterKeepsWhatIsFresh(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))
	m := NewMeter(now)
	m.wait = time.Minute
	var asked, counted atomic.Int64
	m.space = func(string) (Space, error) {
		asked.Add(1)
		return Space{Capacity: 100, Used: 60, InodesUsed: 7}, nil
	}
	m.count = func(context.Context, string) Taken { return Taken{counted.Add(1), 2} }
	whole, folder := Folder{Path: "/a"}, Folder{Path: "/a", Count: true}
	got := m.Measure(t.Context(), []Folder{whole, folder})
	if got[whole].Taken != (Taken{60, 7}) || got[folder].Taken != (Taken{1, 2}) || got[folder].Capacity != 100 {
		t.Errorf("%+v", got)
	}
	now.Step(fresh - 1)
	if again := m.Measure(t.Context(), []Folder{folder}); again[folder] != got[folder] || asked.Load() != 2 {
		t.Errorf("%+v after %+v", again, got)
	}
	now.Step(1)
	if later := m.Measure(t.Context(), []Folder{folder}); later[folder].Taken.Bytes != 2 {
		t.Errorf("%+v", later)
	}
	now.Step(kept + 1)
	m.Measure(t.Context(), []Folder{{Path: "/b"}})
	if len(m.known) != 1 {
		t.Errorf("%d figures are kept", len(m.known))
	}
	m.space = func(string) (Space, error) { return Space{}, unix.ENOENT }
	now.Step(fresh)
	if gone := m.Measure(t.Context(), []Folder{{Path: "/b"}}); len(gone) != 0 {
		t.Errorf("of what is gone: %+v", gone)
	}
}

// A server that does not answer holds up nobody, is asked once, and its volume
// has the figures that it had.
func TestMeterDoesNotWaitForWhatHangs(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))
	m := NewMeter(now)
	m.wait = time.Minute
	answer, asked := make(chan struct{}), make(chan struct{}, 8)
	hangs := false
	m.space = func(path string) (Space, error) {
		if path == "/far" && hangs {
			asked <- struct{}{}
			<-answer
		}
		return Space{Capacity: 5}, nil
	}
	far, near := Folder{Path: "/far"}, Folder{Path: "/near"}
	first := m.Measure(t.Context(), []Folder{far})
	now.Step(fresh)
	hangs = true
	gone, cancel := context.WithCancel(t.Context())
	cancel() // stands for patience that has run out
	for range 3 {
		if got := m.Measure(gone, []Folder{far}); got[far] != first[far] {
			t.Errorf("%+v, not as before", got)
		}
	}
	if got := m.Measure(t.Context(), []Folder{near}); got[near].Capacity != 5 {
		t.Errorf("beside it: %+v", got)
	}
	<-asked
	close(answer)
	if got := m.Measure(t.Context(), []Folder{far}); got[far].Time.Equal(first[far].Time) || len(asked) > 0 {
		t.Errorf("when it answers again: %+v, asked %d times more", got, len(asked))
	}
}

// The driver of a volume is asked, as seldom as a file system is measured.
func TestMeterAsksDrivers(t *testing.T) {
	m := NewMeter(clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0)))
	m.wait = time.Minute
	asked := 0
	m.Ask = func(_ context.Context, path string) (Space, error) {
		if asked++; path != "/there" {
			return Space{}, os.ErrNotExist
		}
		return Space{Capacity: 10, Used: 4, InodesUsed: 2}, nil
	}
	there, gone := Folder{Path: "/there", Driven: true}, Folder{Path: "/gone", Driven: true}
	for range 2 {
		if use, ok := m.Measure(t.Context(), []Folder{there})[there]; !ok || use.Capacity != 10 || use.Taken != (Taken{4, 2}) || asked != 1 {
			t.Errorf("%+v %v, asked %d times", use, ok, asked)
		}
	}
	if use, ok := m.Measure(t.Context(), []Folder{gone})[gone]; ok {
		t.Errorf("of a volume that the driver does not know: %+v", use)
	}
}
