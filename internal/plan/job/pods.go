package job

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podready"
)

// noIndex is what a pod without a completion index has.
const noIndex = -1

// Tracked reports whether the pod's end is still to be counted.
func Tracked(pod *corev1.Pod) bool {
	return slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer)
}

// Discard is the annotation of a pod that is being taken away because it is not
// wanted. What it comes to once it is being deleted does not count.
const Discard = "berth.dev/job-discard"

func marked(pod *corev1.Pod) bool { return pod.Annotations[Discard] != "" }

// discarded leaves out who had succeeded before somebody deleted it: only that
// needs no grace.
func discarded(pod *corev1.Pod) bool {
	done := pod.Status.Phase == corev1.PodSucceeded && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
	return marked(pod) && pod.DeletionTimestamp != nil && !done
}

func indexed(job *batchv1.Job) bool {
	return ptr.Deref(job.Spec.CompletionMode, batchv1.NonIndexedCompletion) == batchv1.IndexedCompletion
}

func suspended(job *batchv1.Job) bool { return ptr.Deref(job.Spec.Suspend, false) }

// indexOf is the pod's completion index, or noIndex.
func indexOf(pod *corev1.Pod) int {
	index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || index < 0 {
		return noIndex
	}
	return index
}

// counts reports whether the pod does the job's work: it is not discarded, and
// for an Indexed job it has an index that is wanted.
func counts(job *batchv1.Job, pod *corev1.Pod) bool {
	if discarded(pod) {
		return false
	}
	if !indexed(job) {
		return true
	}
	index := indexOf(pod)
	return index != noIndex && index < int(ptr.Deref(job.Spec.Completions, 0))
}

// replacesEnded: a pod is replaced when it has ended, not when it starts to.
func replacesEnded(job *batchv1.Job) bool {
	return ptr.Deref(job.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed || job.Spec.PodFailurePolicy != nil
}

// failed reports whether the pod counts as failed. One that is being deleted
// does, unless it is waited for: it may never come to say how it ended.
func failed(job *batchv1.Job, pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed ||
		!replacesEnded(job) && pod.DeletionTimestamp != nil && pod.Status.Phase != corev1.PodSucceeded
}

func terminating(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil && !podready.Ended(pod) }

// failures are how often the pod's index failed before, counted and ignored.
func failures(pod *corev1.Pod) (counted, ignored int32) {
	read := func(annotation string) int32 {
		n, err := strconv.Atoi(pod.Annotations[annotation])
		if err != nil || n < 0 || n > math.MaxInt32 {
			return 0
		}
		return int32(n)
	}
	return read(batchv1.JobIndexFailureCountAnnotation), read(batchv1.JobIndexIgnoredFailureCountAnnotation)
}

// allFailures are the counted and the ignored ones.
func allFailures(pod *corev1.Pod) int32 {
	counted, ignored := failures(pod)
	return counted + ignored
}

// endedAt is when the pod ended: when its last container did, or it became
// unready, or was deleted, or else when it was made.
func endedAt(pod *corev1.Pod) time.Time {
	if at, all := containersEnded(pod); all {
		return at
	}
	if c := podready.Condition(pod, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	if at := pod.DeletionTimestamp; at != nil {
		return at.Add(-time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0)) * time.Second)
	}
	return pod.CreationTimestamp.Time
}

// containersEnded is when the last container or sidecar ended, if all have.
func containersEnded(pod *corev1.Pod) (last time.Time, all bool) {
	ended := func(status *corev1.ContainerStatus) bool {
		if status.State.Terminated == nil || status.State.Terminated.FinishedAt.IsZero() {
			return false
		}
		if at := status.State.Terminated.FinishedAt.Time; at.After(last) {
			last = at
		}
		return true
	}
	for i := range pod.Status.ContainerStatuses {
		if !ended(&pod.Status.ContainerStatuses[i]) {
			return last, false
		}
	}
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		sidecar := slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
			return c.Name == status.Name && ptr.Deref(c.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
		})
		if sidecar && !ended(status) {
			return last, false
		}
	}
	return last, !last.IsZero()
}

// restarts are how often containers of pods that run were started again.
func restarts(pods []*corev1.Pod) int32 {
	n := int32(0)
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodRunning && pod.Status.Phase != corev1.PodPending {
			continue
		}
		for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for i := range list {
				n += list[i].RestartCount
			}
		}
	}
	return n
}

// byLoss orders pods by how much is lost with them, as upstream does: those
// without a node, those further from running, not ready, ready for a shorter
// time, restarted more often, younger.
func byLoss(a, b *corev1.Pod) int {
	first := func(a, b bool) int {
		if a == b {
			return 0
		}
		return map[bool]int{true: -1, false: 1}[a]
	}
	later := func(a, b time.Time) int {
		if a.IsZero() || b.IsZero() {
			return first(a.IsZero(), b.IsZero())
		}
		return b.Compare(a)
	}
	progress := map[corev1.PodPhase]int{corev1.PodUnknown: 1, corev1.PodRunning: 2}
	since := func(pod *corev1.Pod) time.Time {
		if podready.Ready(pod) {
			return podready.Condition(pod, corev1.PodReady).LastTransitionTime.Time
		}
		return time.Time{}
	}
	most := func(pod *corev1.Pod) (n int32) {
		for i := range pod.Status.ContainerStatuses {
			n = max(n, pod.Status.ContainerStatuses[i].RestartCount)
		}
		return n
	}
	return cmp.Or(
		first(a.Spec.NodeName == "", b.Spec.NodeName == ""),
		cmp.Compare(progress[a.Status.Phase], progress[b.Status.Phase]),
		first(!podready.Ready(a), !podready.Ready(b)),
		later(since(a), since(b)),
		cmp.Compare(most(b), most(a)),
		later(a.CreationTimestamp.Time, b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}
