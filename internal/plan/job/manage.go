package job

import (
	"cmp"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// stopAll ends every pod of a job that has come to its end.
func (d *decision) stopAll() {
	d.Stop = d.active
	d.terminating += len(d.active)
	d.active = nil
}

// manage makes pods or takes some away, never both at once.
func (d *decision) manage() {
	if d.remove(d.tooMany()) {
		return
	}
	missing := d.wanted() - len(d.active)
	if replacesEnded(d.Job) {
		missing -= d.terminating
	}
	missing = min(missing, mostAtOnce)
	if missing <= 0 || suspended(d.Job) {
		return
	}
	if d.Job.Spec.BackoffLimitPerIndex == nil {
		if left := d.Plan.Backoff.left(d.Now); left > 0 {
			d.wait(left)
			return
		}
	}
	if !indexed(d.Job) {
		for range missing {
			d.Create = append(d.Create, Pod{Index: noIndex})
		}
		return
	}
	d.fill(missing)
}

// wanted is how many pods should be active.
func (d *decision) wanted() int {
	parallelism := int(ptr.Deref(d.Job.Spec.Parallelism, 1))
	switch {
	case suspended(d.Job):
		return 0
	case d.Job.Spec.Completions != nil:
		return max(min(d.completions()-d.succeeded, parallelism), 0)
	case d.succeeded > 0:
		return len(d.active) // one has done it: the others may finish
	}
	return parallelism
}

// tooMany are the active pods to take away: those that were about to be, those
// of an index that is not wanted or has another, and as many as there are too
// many, the least lost first.
func (d *decision) tooMany() []*corev1.Pod {
	var out, rest []*corev1.Pod
	for _, pod := range d.active {
		if marked(pod) {
			out = append(out, pod)
		} else {
			rest = append(rest, pod)
		}
	}
	if len(out) > 0 {
		return out
	}
	slices.SortFunc(rest, byLoss)
	if indexed(d.Job) {
		better := map[int]bool{}
		keep := rest[:0:0]
		for _, pod := range slices.Backward(rest) {
			if index := indexOf(pod); !counts(d.Job, pod) || better[index] {
				out = append(out, pod)
			} else {
				better[index] = true
				keep = append(keep, pod)
			}
		}
		slices.Reverse(keep)
		rest = keep
	}
	if surplus := len(d.active) - d.wanted() - len(out); surplus > 0 {
		out = append(out, rest[:min(surplus, len(rest))]...)
	}
	return out[:min(len(out), mostAtOnce)]
}

func (d *decision) remove(pods []*corev1.Pod) bool {
	d.Remove = pods
	d.terminating += len(pods)
	d.active = slices.DeleteFunc(slices.Clone(d.active), func(pod *corev1.Pod) bool { return slices.Contains(pods, pod) })
	return len(pods) > 0
}

// fill makes pods for the first indexes that have none and need one.
func (d *decision) fill(n int) {
	taken := d.done.and(indexesOf(d.active))
	if replacesEnded(d.Job) {
		taken = taken.and(indexesOf(slices.DeleteFunc(slices.Clone(d.Pods), func(pod *corev1.Pod) bool { return !terminating(pod) })))
	}
	if d.lost != nil {
		taken = taken.and(*d.lost)
	}
	soonest := time.Duration(0)
	for _, index := range taken.missing(n, d.completions()) {
		replaced := d.waiting[index]
		if replaced != nil {
			if left := (Backoff{allFailures(replaced) + 1, endedAt(replaced)}).left(d.Now); left > 0 {
				soonest = min(cmp.Or(soonest, left), left)
				continue
			}
		}
		d.Create = append(d.Create, Pod{index, replaced})
	}
	if soonest > 0 {
		d.wait(soonest)
	}
}

// writeDown notes the ends of pods, and lets those go whose end is noted.
func (d *decision) writeDown(e *end) {
	pods := slices.SortedStableFunc(slices.Values(d.Pods), func(a, b *corev1.Pod) int {
		return cmp.Compare(indexOf(a), indexOf(b))
	})
	u := d.Status.UncountedTerminatedPods
	announced := holds(&d.Job.Status, batchv1.JobSuccessCriteriaMet) != nil
	var fresh []int
	for _, pod := range pods {
		if !Tracked(pod) || slices.Contains(d.Remove, pod) || !d.mayGo(pod, e) {
			continue
		}
		d.Release = append(d.Release, pod)
		switch {
		case discarded(pod):
		case pod.Status.Phase == corev1.PodSucceeded && d.known[pod.UID] != "failed":
			if !indexed(d.Job) {
				if d.known[pod.UID] == "" {
					u.Succeeded = append(u.Succeeded, pod.UID)
				}
			} else if counts(d.Job, pod) && !d.counted.Has(indexOf(pod)) {
				fresh = append(fresh, indexOf(pod))
			}
		case announced: // it was stopped because the job has succeeded
		case failed(d.Job, pod) || e != nil && !e.success:
			if d.known[pod.UID] != "failed" && counts(d.Job, pod) && !judge(d.Job.Spec.PodFailurePolicy, pod).ignored() {
				u.Failed = append(u.Failed, pod.UID)
			}
		}
		if len(fresh)+len(u.Succeeded)+len(u.Failed) >= mostUncounted {
			break // the rest when these are counted
		}
	}
	if !indexed(d.Job) {
		return
	}
	d.done = d.done.With(fresh...)
	d.Status.CompletedIndexes = d.done.String()
	d.Status.Succeeded = int32(d.done.Total())
	d.Status.FailedIndexes = nil
	if d.lost != nil {
		d.Status.FailedIndexes = ptr.To(d.lost.String())
	}
}

// mayGo reports whether nothing is to be learnt from the pod any more. A failed
// one whose index waits for another pod stays until that has taken over its count.
func (d *decision) mayGo(pod *corev1.Pod, e *end) bool {
	if e != nil || d.Job.DeletionTimestamp != nil || discarded(pod) || pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	return failed(d.Job, pod) && d.waiting[indexOf(pod)] != pod
}

// ExternallyManaged reports whether another controller looks after the job.
func ExternallyManaged(job *batchv1.Job) bool {
	return ptr.Deref(job.Spec.ManagedBy, batchv1.JobControllerName) != batchv1.JobControllerName
}
