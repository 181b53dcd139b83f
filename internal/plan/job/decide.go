package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podready"
)

const (
	// mostUncounted bounds how many ends are written down at once.
	mostUncounted = 500
	// mostAtOnce bounds how many pods one plan makes or takes away.
	mostAtOnce = 500
)

// Facts are what a decision rests on. They are not changed.
type Facts struct {
	Job  *batchv1.Job
	Pods []*corev1.Pod // those that the job controls
	// Backoff is what earlier plans have said; nil when the process has just started.
	Backoff *Backoff
	Now     time.Time
}

// Plan is what to do, in this order.
type Plan struct {
	Remove  []*corev1.Pod // marked, then deleted, both only as it is: not wanted, not counted
	Create  []Pod
	Status  batchv1.JobStatus // as if all was made
	Events  []Event           // told once the status is stored
	Backoff Backoff           // to be remembered once the status is stored
	Stop    []*corev1.Pod     // deleted, to be counted
	Release []*corev1.Pod     // finalizer off: their end is in the status
	// Again: what only time changes.
	Again time.Duration
}

// Pod is one that is to be made.
type Pod struct {
	Index    int         // noIndex for a job without indexes
	Replaces *corev1.Pod // the failed one whose count it takes over
}

// Event is one about the job.
type Event struct{ Type, Reason, Message string }

// Changed reports whether a status says something new.
func Changed(old, status *batchv1.JobStatus) bool {
	return !equality.Semantic.DeepEqual(old, status)
}

// Finished is the condition that ended the job, nil while it goes on.
func Finished(job *batchv1.Job) *batchv1.JobCondition {
	for _, t := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if c := holds(&job.Status, t); c != nil {
			return c
		}
	}
	return nil
}

// condition is the one of that type, whatever it says.
func condition(status *batchv1.JobStatus, t batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == t {
			return &status.Conditions[i]
		}
	}
	return nil
}

// holds is the condition of that type if it is true.
func holds(status *batchv1.JobStatus, t batchv1.JobConditionType) *batchv1.JobCondition {
	if c := condition(status, t); c != nil && c.Status == corev1.ConditionTrue {
		return c
	}
	return nil
}

// decision is one in the making.
type decision struct {
	Facts
	Plan
	active      []*corev1.Pod
	terminating int
	succeeded   int // pods, or indexes
	failed      int
	counted     Indexes              // those that the status has as completed
	done        Indexes              // and those that have completed since
	lost        *Indexes             // those that failed for good
	waiting     map[int]*corev1.Pod  // by index: failed ones whose count a new pod takes over
	known       map[types.UID]string // UIDs that are written down: succeeded or failed
}

// Decide says what a job does next. A job that has finished only lets go of pods
// that it may have left.
func Decide(f Facts) Plan {
	d := &decision{Facts: f}
	d.Status = *f.Job.Status.DeepCopy()
	if Finished(f.Job) != nil {
		for _, pod := range f.Pods {
			if Tracked(pod) {
				d.Release = append(d.Release, pod)
			}
		}
		return d.Plan
	}
	d.look()
	end := d.verdict()
	switch {
	case end != nil:
		d.stopAll()
	case f.Job.DeletionTimestamp == nil:
		d.manage()
		if end = d.complete(); end == nil {
			d.tellSuspension()
		}
	default:
		end = d.complete()
	}
	d.writeDown(end)
	d.Status.Active = int32(len(d.active) + len(d.Create))
	d.Status.Ready = ptr.To(ready(d.active))
	d.Status.Terminating = ptr.To(int32(d.terminating))
	if end != nil {
		d.announce(*end)
	}
	return d.Plan
}

func ready(pods []*corev1.Pod) (n int32) {
	for _, pod := range pods {
		if podready.Ready(pod) {
			n++
		}
	}
	return n
}

// look counts what there is. What was written down and let go is counted for good.
func (d *decision) look() {
	if d.Status.UncountedTerminatedPods == nil {
		d.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	tracked := map[types.UID]bool{}
	for _, pod := range d.Pods {
		if Tracked(pod) {
			tracked[pod.UID] = true
		}
		if podready.Active(pod) {
			d.active = append(d.active, pod)
		}
		if terminating(pod) {
			d.terminating++
		}
	}
	u := d.Status.UncountedTerminatedPods
	settle(&u.Succeeded, &d.Status.Succeeded, tracked)
	settle(&u.Failed, &d.Status.Failed, tracked)
	d.known = map[types.UID]string{}
	for _, uid := range u.Succeeded {
		d.known[uid] = "succeeded"
	}
	for _, uid := range u.Failed {
		d.known[uid] = "failed"
	}

	var succeeded, lost []*corev1.Pod
	ignored := 0
	for _, pod := range d.Pods {
		if !Tracked(pod) || !counts(d.Job, pod) {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded && d.known[pod.UID] == "" {
			succeeded = append(succeeded, pod)
		}
		if failed(d.Job, pod) && d.known[pod.UID] == "" {
			lost = append(lost, pod)
			if judge(d.Job.Spec.PodFailurePolicy, pod).ignored() {
				ignored++
			}
		}
	}
	d.succeeded = int(d.Status.Succeeded) + len(u.Succeeded) + len(succeeded)
	d.failed = int(d.Status.Failed) + len(u.Failed) + len(lost) - ignored
	if d.Status.StartTime == nil && !suspended(d.Job) {
		d.Status.StartTime = &metav1.Time{Time: d.Now}
	}
	d.Plan.Backoff = ptr.Deref(d.Facts.Backoff, recalled(d.Job, d.Pods)).after(succeeded, lost)
	if indexed(d.Job) {
		d.lookAtIndexes()
	}
}

// settle takes the UIDs of pods that are no longer tracked off a list and counts them.
func settle(uids *[]types.UID, counter *int32, tracked map[types.UID]bool) {
	before := len(*uids)
	*uids = slices.DeleteFunc(*uids, func(uid types.UID) bool { return !tracked[uid] })
	*counter += int32(before - len(*uids))
	if len(*uids) == 0 {
		*uids = nil
	}
}

func (d *decision) completions() int { return int(ptr.Deref(d.Job.Spec.Completions, 0)) }

// lookAtIndexes finds which are done, which have failed for good, and which wait
// for another pod.
func (d *decision) lookAtIndexes() {
	d.counted = ParseIndexes(d.Status.CompletedIndexes, d.completions())
	var fresh, lost []int
	for _, pod := range d.Pods {
		if !Tracked(pod) || !counts(d.Job, pod) {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded && d.known[pod.UID] == "" {
			fresh = append(fresh, indexOf(pod))
		}
		if d.endsIndex(pod) {
			lost = append(lost, indexOf(pod))
		}
	}
	d.done = d.counted.With(fresh...)
	d.succeeded = d.done.Total()
	if d.Job.Spec.BackoffLimitPerIndex == nil {
		return
	}
	all := ParseIndexes(ptr.Deref(d.Status.FailedIndexes, ""), d.completions()).With(lost...)
	d.lost = &all
	d.waiting = map[int]*corev1.Pod{}
	running := indexesOf(d.active)
	for _, pod := range d.Pods {
		index := indexOf(pod)
		if !Tracked(pod) || !counts(d.Job, pod) || !failed(d.Job, pod) || d.done.Has(index) || all.Has(index) || running.Has(index) {
			continue
		}
		last := d.waiting[index]
		if last == nil || allFailures(last) <= allFailures(pod) && !endedAt(pod).Before(endedAt(last)) {
			d.waiting[index] = pod
		}
	}
}

func indexesOf(pods []*corev1.Pod) Indexes {
	var all []int
	for _, pod := range pods {
		if index := indexOf(pod); index != noIndex {
			all = append(all, index)
		}
	}
	return Indexes(nil).With(all...)
}

// endsIndex reports whether with this pod its index has failed for good.
func (d *decision) endsIndex(pod *corev1.Pod) bool {
	limit := d.Job.Spec.BackoffLimitPerIndex
	if limit == nil || !failed(d.Job, pod) {
		return false
	}
	said := judge(d.Job.Spec.PodFailurePolicy, pod)
	if said.Action == batchv1.PodFailurePolicyActionFailIndex {
		return true
	}
	counted, _ := failures(pod)
	return !said.ignored() && counted >= *limit
}
