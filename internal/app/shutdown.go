package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"berth.dev/berth/internal/plan/shutdown"
)

// shutdownPeriods are how long pods have when the machine goes down.
func (c Config) shutdownPeriods() ([]shutdown.Period, error) {
	if len(c.ShutdownGraceByPriority) > 0 {
		if c.ShutdownGrace != 0 || c.ShutdownGraceCritical != 0 {
			return nil, errors.New("--shutdown-grace-period-by-pod-priority: give this or --shutdown-grace-period, not both")
		}
		return periodsByPriority(c.ShutdownGraceByPriority)
	}
	for flag, d := range map[string]time.Duration{"shutdown-grace-period": c.ShutdownGrace, "shutdown-grace-period-critical-pods": c.ShutdownGraceCritical} {
		if d < 0 || d > 0 && d < time.Second {
			return nil, fmt.Errorf("--%s: %v: use 0, or a second and more", flag, d)
		}
	}
	if c.ShutdownGraceCritical > c.ShutdownGrace {
		return nil, fmt.Errorf("--shutdown-grace-period-critical-pods: %v is more than the whole of --shutdown-grace-period, %v", c.ShutdownGraceCritical, c.ShutdownGrace)
	}
	return shutdown.Split(c.ShutdownGrace, c.ShutdownGraceCritical), nil
}

func periodsByPriority(list map[string]string) ([]shutdown.Period, error) {
	var out []shutdown.Period
	for _, priority := range slices.Sorted(maps.Keys(list)) {
		p, err := strconv.ParseInt(priority, 10, 32)
		n, err2 := strconv.ParseInt(list[priority], 10, 32)
		if err != nil || err2 != nil || n < 0 {
			return nil, fmt.Errorf("--shutdown-grace-period-by-pod-priority: %s=%s: use a priority and a number of seconds", priority, list[priority])
		}
		out = append(out, shutdown.Period{Priority: int32(p), Seconds: n})
	}
	return out, nil
}
