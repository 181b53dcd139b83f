package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/plan/shutdown"
)

func TestShutdownPeriods(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   []shutdown.Period
		err    string
	}{
		"off":         {Config{}, nil, ""},
		"two periods": {Config{ShutdownGrace: time.Minute, ShutdownGraceCritical: 10 * time.Second}, []shutdown.Period{{Priority: 0, Seconds: 50}, {Priority: 2_000_000_000, Seconds: 10}}, ""},
		"by priority": {Config{ShutdownGraceByPriority: map[string]string{"0": "5", "1000": "7"}}, []shutdown.Period{{Priority: 0, Seconds: 5}, {Priority: 1000, Seconds: 7}}, ""},
		"both": {
			Config{ShutdownGrace: time.Minute, ShutdownGraceByPriority: map[string]string{"0": "5"}},
			nil,
			"--shutdown-grace-period-by-pod-priority: give this or --shutdown-grace-period, not both",
		},
		"no number":  {Config{ShutdownGraceByPriority: map[string]string{"high": "5"}}, nil, "--shutdown-grace-period-by-pod-priority: high=5: use a priority and a number of seconds"},
		"too short":  {Config{ShutdownGrace: time.Millisecond}, nil, "--shutdown-grace-period: 1ms: use 0, or a second and more"},
		"more of it": {Config{ShutdownGrace: time.Minute, ShutdownGraceCritical: time.Hour}, nil, "--shutdown-grace-period-critical-pods: 1h0m0s is more than the whole of --shutdown-grace-period, 1m0s"},
	} {
		got, err := c.config.shutdownPeriods()
		said := ""
		if err != nil {
			said = err.Error()
		}
		if diff := cmp.Diff(c.want, got); diff != "" || said != c.err {
			t.Errorf("%s: %s %s", name, said, diff)
		}
	}
}
