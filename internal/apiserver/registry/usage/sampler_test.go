package usage

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	plan "berth.dev/berth/internal/plan/usage"
)

var web = plan.Container{Namespace: "default", Pod: "web-0", Name: "nginx"}

// world is nodes on a clock that jumps whenever somebody waits.
type world struct {
	mu    sync.Mutex
	now   time.Time
	asked int
	fail  error
}

func (w *world) fetch(_ context.Context, _ string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.fail != nil {
		return nil, w.fail
	}
	begun := time.UnixMilli(1_800_000_000_000)
	// The node is busy with two processors, the container with half of one.
	up := w.now.Sub(begun) + time.Hour
	s := &plan.Sample{
		Node:       plan.Counters{Time: w.now, CPU: 2 * up, Memory: 1 << 30},
		Containers: map[plan.Container]plan.Counters{web: {Time: w.now, CPU: up / 2, Memory: 1 << 20}},
	}
	return s.Text(), nil
}

// jumping is a clock whose waits are over at once.
type jumping struct {
	*clocktesting.FakeClock
	w *world
}

func (j jumping) After(d time.Duration) <-chan time.Time {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	j.w.now = j.w.now.Add(d)
	j.SetTime(j.w.now)
	done := make(chan time.Time, 1)
	done <- j.w.now
	return done
}

func newWorld() (*world, *Sampler, func(time.Duration)) {
	w := &world{now: time.UnixMilli(1_800_000_000_000)}
	c := jumping{clocktesting.NewFakeClock(w.now), w}
	return w, NewSampler(w.fetch, c), func(d time.Duration) { c.After(d) }
}

func TestSampler(t *testing.T) {
	w, s, pass := newWorld()
	for _, step := range []struct {
		after  time.Duration
		asks   int
		window time.Duration
	}{
		{0, 2, firstWindow},
		{freshFor - time.Second, 0, firstWindow},
		{6 * time.Second, 1, freshFor + 5*time.Second},
		{longest + time.Second, 2, firstWindow},
	} {
		pass(step.after)
		w.asked = 0
		got := s.Rates(t.Context(), []string{"n1"})["n1"]
		if w.asked != step.asks || got.Node == nil || got.Node.Window != step.window || got.Node.CPU != 2e9 || got.Containers[web].CPU != 5e8 || got.Containers[web].Memory != 1<<20 {
			t.Errorf("after %s: asked %d times, %+v", step.after, w.asked, got)
		}
	}
	pass(freshFor)
	w.fail = errors.New("no route")
	if got := s.Rates(t.Context(), []string{"n1"}); len(got) != 0 {
		t.Errorf("a dead node uses %+v", got)
	}
	w.fail = nil
	if got := s.Rates(t.Context(), []string{"n1", "n2"}); len(got) != 2 {
		t.Errorf("it came back: %+v", got)
	}
	pass(longest + time.Second)
	_ = s.Rates(t.Context(), []string{"n3"})
	if len(s.nodes) != 1 {
		t.Errorf("nodes that nobody asks about are kept: %v", s.nodes)
	}
}

// Those who ask at the same time share the answer.
func TestSamplerIsShared(t *testing.T) {
	w, s, _ := newWorld()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got := s.Rates(t.Context(), []string{"n1"}); got["n1"].Node == nil {
				t.Error("no answer")
			}
		})
	}
	group.Wait()
	if w.asked != 2 {
		t.Errorf("asked %d times", w.asked)
	}
}
