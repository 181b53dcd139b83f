package loop

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestPatience(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	p := NewPatience(clock)
	key, other := types.NamespacedName{Name: "a"}, types.NamespacedName{Name: "b"}
	attempts := 0
	for end := clock.Now().Add(time.Hour); clock.Now().Before(end); clock.Step(5 * time.Millisecond) {
		if p.Left(key, 1) == 0 { // an event every five milliseconds
			attempts++
			p.Failed(key, 1)
		}
	}
	if attempts < 100 || attempts > 150 {
		t.Errorf("%d attempts in an hour of failure, want one every half minute", attempts)
	}
	if p.Left(other, 1) != 0 || p.Left(key, 2) != 0 {
		t.Error("another key, or what the user has changed, waits too")
	}
	if wait := p.Failed(key, 2); wait > time.Second {
		t.Errorf("the second attempt of another generation waits %s", wait)
	}
	if p.Forget(key); p.Left(key, 2) != 0 || len(p.keys) != 0 {
		t.Error("a key that was forgotten waits")
	}
}

func TestEach(t *testing.T) {
	fails := errors.New("no")
	for _, limit := range []int{1, 4} {
		var calls atomic.Int32
		err := Each(20, limit, func(i int) error {
			calls.Add(1)
			if i%2 == 1 {
				return fails
			}
			return nil
		})
		if !errors.Is(err, fails) || calls.Load() != 20 {
			t.Errorf("limit %d: %d calls, %v", limit, calls.Load(), err)
		}
	}
}
