package loop

import (
	"testing"
	"time"
)

func TestRest(t *testing.T) {
	for _, c := range []struct {
		pods        int
		since, want time.Duration
	}{
		{99, 0, 0},
		{100, 0, 10 * time.Millisecond},
		{100, 2 * time.Millisecond, 8 * time.Millisecond},
		{100, time.Second, 0},
		{100_000, 0, 100 * time.Millisecond},
	} {
		if got := Rest(c.pods, c.since); got != c.want {
			t.Errorf("%d pods, %s after the last look: %s, want %s", c.pods, c.since, got, c.want)
		}
	}
}
