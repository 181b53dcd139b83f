package podsync

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// How restarts and pulls back off, and for how long a failure of another kind
// is left alone.
const (
	FirstDelay = 10 * time.Second
	MaxDelay   = 300 * time.Second
	// forgetAfter is twice the longest delay, as upstream.
	forgetAfter = 2 * MaxDelay
	// RetryDelay is upstream's pace for a pod that cannot be synced.
	RetryDelay = 10 * time.Second
	// pullShown is how long ErrImagePull is shown before it reads ImagePullBackOff.
	pullShown = time.Second
)

// Backoff is the record of a delay that doubles. The zero value means that
// nothing was delayed yet.
type Backoff struct {
	Delay time.Duration
	Since time.Time
}

func (b Backoff) expired(at time.Time) bool {
	return b.Delay == 0 || at.Sub(b.Since) > forgetAfter
}

// Next is the record after one more attempt at now, which follows an event
// (the container's exit, the failed pull).
func (b Backoff) Next(event, now time.Time) Backoff {
	if b.expired(event) {
		return Backoff{Delay: FirstDelay, Since: now}
	}
	return Backoff{Delay: min(2*b.Delay, MaxDelay), Since: now}
}

// Until says when an attempt after the event may be made, zero for at once.
func (b Backoff) Until(event time.Time) time.Time {
	if b.expired(event) {
		return time.Time{}
	}
	return event.Add(b.Delay)
}

// Failed is the record after a container could not be started.
func (r Record) Failed(reason, message string, now time.Time) Record {
	f := &Failure{Reason: reason, Message: message, At: now, Retry: now.Add(RetryDelay)}
	if reason == ErrImagePull {
		r.Pull = r.Pull.Next(now, now)
		f.Retry = now.Add(r.Pull.Delay)
	}
	r.Failure = f
	return r
}

// Started is the record after a container was started.
func (r Record) Started() Record {
	return Record{Hash: r.Hash, Crash: r.Crash}
}

// Of is the record as far as it is about the container's present definition.
func (r Record) Of(c *corev1.Container) Record {
	if hash := Hash(c); r.Hash != hash {
		return Record{Hash: hash, Condemned: r.Condemned}
	}
	return r
}

// longestMountDelay is upstream's longest pause between tries of a volume.
const longestMountDelay = 122 * time.Second

// FailedMounting is the failure of the pod's volumes after one more try.
func FailedMounting(before *Failure, message string, now time.Time) *Failure {
	return soonAgain(before, FailedMount, message, now, longestMountDelay)
}

// FailedCreatingSandbox is the failure of the pod's sandbox after one more try.
func FailedCreatingSandbox(before *Failure, message string, now time.Time) *Failure {
	return soonAgain(before, FailedSandbox, message, now, RetryDelay)
}

// soonAgain is tried again after 0.5 s, then at a growing distance.
func soonAgain(before *Failure, reason, message string, now time.Time, longest time.Duration) *Failure {
	delay := 500 * time.Millisecond
	if before != nil {
		delay = max(delay, min(2*before.Retry.Sub(before.At), longest))
	}
	return &Failure{Reason: reason, Message: message, At: now, Retry: now.Add(delay)}
}
