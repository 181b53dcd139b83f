package probe

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind is one of the three probes of a container.
type Kind string

// The kinds, as upstream's events spell them.
const (
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
	Startup   Kind = "Startup"
)

// Verdict is what the tries so far say.
type Verdict string

// Unknown is the verdict of a startup probe that has not decided yet.
const (
	Unknown Verdict = "Unknown"
	Success Verdict = "Success"
	Failure Verdict = "Failure"
)

// Verdicts are the verdicts about one running container; a probe that the
// container does not declare stays empty.
type Verdicts struct {
	Startup, Readiness, Liveness Verdict
}

// Of returns the container's probe of that kind, nil if it has none.
func Of(c *corev1.Container, kind Kind) *corev1.Probe {
	switch kind {
	case Liveness:
		return c.LivenessProbe
	case Readiness:
		return c.ReadinessProbe
	default:
		return c.StartupProbe
	}
}

// Initial is the verdict before the first answer.
func Initial(kind Kind) Verdict {
	switch kind {
	case Liveness:
		return Success
	case Readiness:
		return Failure
	default:
		return Unknown
	}
}

const (
	firstGap   = 10 * time.Millisecond
	execFactor = 10
)

// Period is how often the probe runs (upstream's default is 10 s).
func Period(p *corev1.Probe) time.Duration {
	if p.PeriodSeconds <= 0 {
		return 10 * time.Second
	}
	return time.Duration(p.PeriodSeconds) * time.Second
}

// Timeout is how long one try may take (upstream's default is 1 s).
func Timeout(p *corev1.Probe) time.Duration {
	if p.TimeoutSeconds <= 0 {
		return time.Second
	}
	return time.Duration(p.TimeoutSeconds) * time.Second
}

func threshold(n, otherwise int32) int32 {
	if n <= 0 {
		return otherwise
	}
	return n
}
