package probe

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Tracker follows one probe of one running container.
type Tracker struct {
	Kind  Kind
	Probe *corev1.Probe
	// Base is where the regular beat counts from: the container's start for
	// liveness and startup, the moment readiness may first be asked otherwise.
	Base time.Time
	// Verdict is what counts now.
	Verdict Verdict

	run      int32     // equal answers in a row
	last     Verdict   // the answer they were
	beat     time.Time // the regular try that is due next
	extra    time.Time // the extra try that is due next, zero when there is none
	gap      time.Duration
	finished bool
}

// Start begins to follow a probe at now. started is when the container began to
// run; inherited is the verdict an earlier agent left in the API, empty if none.
func Start(kind Kind, p *corev1.Probe, started, now time.Time, inherited Verdict) Tracker {
	t := Tracker{Kind: kind, Probe: p, Verdict: Initial(kind), Base: started}
	if inherited != "" {
		t.Verdict = inherited
	}
	delayed := started.Add(time.Duration(p.InitialDelaySeconds) * time.Second)
	if kind == Readiness {
		if now.After(delayed) {
			delayed = now
		}
		// A container that has just begun seldom answers: the first try is extra.
		t.Base, t.extra = delayed, delayed
		t.beat = delayed.Add(Period(p))
		return t
	}
	if kind == Startup && t.Verdict == Success {
		t.finished = true
	}
	t.beat = started
	for first := true; first || t.beat.Before(delayed) || t.beat.Before(now); first = false {
		t.beat = t.skip(t.beat, delayed, now)
	}
	return t
}

// skip moves a beat to the first one after it that is not before any of the times.
func (t Tracker) skip(from time.Time, times ...time.Time) time.Time {
	next := from.Add(Period(t.Probe))
	for _, at := range times {
		if behind := at.Sub(next); behind > 0 {
			beats := (behind + Period(t.Probe) - 1) / Period(t.Probe)
			next = next.Add(beats * Period(t.Probe))
		}
	}
	return next
}

// Next says when the next try is due; false means never again.
func (t Tracker) Next() (at time.Time, due bool) {
	if t.finished {
		return time.Time{}, false
	}
	if !t.extra.IsZero() && t.extra.Before(t.beat) { // an extra try that came too late is the regular one
		return t.extra, true
	}
	return t.beat, true
}

// Answer is the outcome of one try.
type Answer struct {
	OK bool
	// Void means that the question could not be put: the try tells nothing.
	Void     bool
	Began    time.Time
	Ended    time.Time
	Expected time.Time // what Next said
}

// Counted says whether a failure of the try due at that time counts (and is
// worth an event).
func (t Tracker) Counted(expected time.Time) bool {
	return !expected.Before(t.beat)
}

// Observe takes an answer in.
func (t Tracker) Observe(a Answer) Tracker {
	counted := t.Counted(a.Expected)
	if counted {
		t.beat = t.skip(t.beat, a.Ended)
	}
	t.extra = time.Time{}
	if a.Void {
		return t
	}
	if counted || a.OK {
		t = t.count(a.OK)
	}
	if t.Kind == Readiness && !a.OK && t.Verdict != Success && t.last != Success && !t.settled() {
		t = t.hurry(a)
	}
	return t
}

// settled is true once growing intervals have reached the period.
func (t Tracker) settled() bool { return t.gap >= Period(t.Probe) }

// hurry plans one more try before the next regular one.
func (t Tracker) hurry(a Answer) Tracker {
	if t.gap == 0 {
		t.gap = firstGap
	} else {
		t.gap *= 2
	}
	wait := t.gap
	if t.Probe.Exec != nil {
		if least := execFactor * a.Ended.Sub(a.Began); wait < least {
			wait = least
		}
	}
	if wait < Period(t.Probe) {
		t.extra = a.Ended.Add(wait)
	}
	return t
}

func (t Tracker) count(ok bool) Tracker {
	answer := Failure
	if ok {
		answer = Success
	}
	if t.last == answer {
		t.run++
	} else {
		t.last, t.run = answer, 1
	}
	if ok && t.run < threshold(t.Probe.SuccessThreshold, 1) {
		return t
	}
	if !ok && t.run < threshold(t.Probe.FailureThreshold, 3) {
		return t
	}
	if ok {
		// From now on only the regular beat: readiness was reached once.
		t.gap = Period(t.Probe)
	}
	t.Verdict = answer
	switch {
	case t.Kind == Startup && ok:
		t.finished = true
	case t.Kind != Readiness && !ok:
		// The container is going to be killed; its successor has its own tracker.
		t.finished = true
	}
	return t
}
