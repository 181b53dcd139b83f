package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// memory is a store that does to records what a test tells it.
type memory struct {
	mu      sync.Mutex
	records []int
	do      func(n int) (keep, acknowledge bool)
}

func (m *memory) Write(_ context.Context, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep, ok := m.do(n)
	if keep {
		m.records = append(m.records, n)
	}
	if !ok {
		return errors.New("no answer")
	}
	return nil
}

// lose forgets a record that it had.
func (m *memory) lose(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = slices.DeleteFunc(m.records, func(r int) bool { return r == n })
}

func (m *memory) Read(context.Context) ([]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records), nil
}

func TestLoadFindsWhatIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(n int) (keep, acknowledge bool)
		lost []int
	}{
		"all is kept":                         {func(int) (bool, bool) { return true, true }, nil},
		"unacknowledged and there":            {func(n int) (bool, bool) { return true, n%2 == 0 }, nil},
		"unacknowledged and not there":        {func(n int) (bool, bool) { return n%2 == 0, n%2 == 0 }, nil},
		"acknowledged and not there":          {func(n int) (bool, bool) { return n != 2 && n != 4, true }, []int{2, 4}},
		"a gap, and then all is as it should": {func(n int) (bool, bool) { return n > 5, n > 5 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			store := &memory{do: test.do}
			l := Start(ctx, store)
			if err := l.Await(ctx, 5); err != nil {
				t.Fatal(err)
			}
			report := l.Stop()
			got, err := l.Verify(ctx, store)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Lost, test.lost) || len(got.Invented)+len(got.Twice) > 0 {
				t.Errorf("%s; %s", report, got)
			}
			if len(report.Acknowledged) < 5 || report.Attempted < 5 || report.Longest <= 0 {
				t.Errorf("%s", report)
			}
		})
	}
}

func TestCheckFindsWhatWasNeverWritten(t *testing.T) {
	r := Report{Attempted: 3, Acknowledged: []int{1, 3}}
	if got := r.Check([]int{1, 2, 3, 3, 7, 0}); got.String() != "0 lost [], 2 invented [0 7], 1 twice [3]" || got.Good() {
		t.Error(got)
	}
	if got := r.Check([]int{1, 3}); !got.Good() {
		t.Error(got)
	}
}

// A client that waits for a system that never answers says what it last heard.
func TestAwaitSaysWhy(t *testing.T) {
	l := Start(t.Context(), &memory{do: func(int) (bool, bool) { return false, false }})
	defer l.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Await(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A lap has what came since the last; failures are told as they come.
func TestLapAndRefused(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store := &memory{do: func(n int) (bool, bool) { return true, n <= 5 || n > 8 }}
	l := Start(ctx, store)
	defer l.Stop()
	if refused, err := l.Refused(ctx, 3, 1000); refused != 3 || err != nil {
		t.Errorf("%d refused, %v", refused, err)
	}
	if lap := l.Lap(); !slices.Equal(lap.Acknowledged[:5], []int{1, 2, 3, 4, 5}) || lap.Longest <= 0 {
		t.Errorf("%s", lap)
	}
	if refused, err := l.Refused(ctx, 1, 10); refused != 0 || err != nil {
		t.Errorf("%d refused, %v", refused, err)
	}
	lap := l.Lap()
	if len(lap.Acknowledged) == 0 || lap.Acknowledged[0] < 9 || lap.Longest <= 0 {
		t.Errorf("%s", lap)
	}
	// The client writes on while it is looked what is there.
	if got, err := l.Verify(ctx, store); err != nil || !got.Good() {
		t.Errorf("%s, %v", got, err)
	}
	store.lose(3)
	if got, err := l.Verify(ctx, store); err != nil || !slices.Equal(got.Lost, []int{3}) {
		t.Errorf("%s, %v", got, err)
	}
	never, stop := context.WithCancel(ctx)
	stop()
	if _, err := l.Refused(never, 1000, 1000000); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
