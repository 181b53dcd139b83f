package nodeloss

import (
	"strings"
	"testing"
	"time"
)

func TestFence(t *testing.T) {
	for _, x := range []struct {
		name        string
		state       FenceState
		want, words string
	}{
		{"no pod ever asked", FenceState{Runs: true}, "", ""},
		{"pods ask and it runs", FenceState{Covered: 2, Runs: true, After: 40 * time.Second, Said: true}, "True FenceRuns", "are stopped 40s after"},
		{"pods ask and it does not", FenceState{Covered: 1, After: 40 * time.Second}, "False FenceNotRunning", "are not replaced"},
		{"none asks any more", FenceState{Runs: true, Said: true}, "False NothingToFence", "no pod here"},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, message := "", ""
			if c := Fence(x.state); c != nil {
				got, message = string(c.Status)+" "+c.Reason, c.Message
				if c.Type != NodeCondition {
					t.Errorf("type %s", c.Type)
				}
			}
			if got != x.want || !strings.Contains(message, x.words) {
				t.Errorf("%s: %s; want %s", got, message, x.want)
			}
		})
	}
}
