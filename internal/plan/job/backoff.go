package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// After a failure a new pod waits for firstWait, twice as long after each
// further one, longestWait at most. A success ends that.
const (
	firstWait   = 10 * time.Second
	longestWait = 10 * time.Minute
)

// Backoff is how often pods have failed since the last success, and when last.
type Backoff struct {
	Failures int32
	Last     time.Time
}

// after is the backoff with pods that have ended since.
func (b Backoff) after(succeeded, failed []*corev1.Pod) Backoff {
	var success time.Time
	for _, pod := range succeeded {
		if at := endedAt(pod); at.After(success) {
			success = at
		}
	}
	if len(succeeded) > 0 {
		b = Backoff{}
	}
	for _, pod := range failed {
		at := endedAt(pod)
		if len(succeeded) > 0 && !at.After(success) {
			continue
		}
		b.Failures++
		if at.After(b.Last) {
			b.Last = at
		}
	}
	return b
}

// left is how long the next pod has to wait.
func (b Backoff) left(now time.Time) time.Duration {
	if b.Failures == 0 {
		return 0
	}
	wait := firstWait
	for range min(b.Failures-1, 10) {
		wait = min(2*wait, longestWait)
	}
	return max(wait-now.Sub(b.Last), 0)
}

// recalled is what the pods that were counted before tell, when the process has
// not seen them itself.
func recalled(job *batchv1.Job, pods []*corev1.Pod) Backoff {
	var succeeded, lost []*corev1.Pod
	uncounted := job.Status.UncountedTerminatedPods
	for _, pod := range pods {
		known := uncounted != nil && (slices.Contains(uncounted.Succeeded, pod.UID) || slices.Contains(uncounted.Failed, pod.UID))
		switch {
		case Tracked(pod) && !known:
		case pod.Status.Phase == corev1.PodSucceeded:
			succeeded = append(succeeded, pod)
		case pod.Status.Phase == corev1.PodFailed:
			lost = append(lost, pod)
		}
	}
	return Backoff{}.after(succeeded, lost)
}
