package job

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// history is a job with its pods, and what has really become of them.
type history struct {
	*rapid.T
	f    Facts
	made int
	// Pods that have succeeded, to the index, and those that have failed.
	succeeded map[types.UID]string
	failed    map[types.UID]bool
	// told are pods that are to stop: they count as failed already, or as what
	// they end as. late are those of them that do their work all the same.
	told, late map[types.UID]bool
}

func drawJob(t *rapid.T) *batchv1.Job {
	j := newJob()
	j.UID = "job"
	j.Spec.Completions = ptr.To(rapid.Int32Range(1, 6).Draw(t, "completions"))
	j.Spec.Parallelism = ptr.To(rapid.Int32Range(1, 4).Draw(t, "parallelism"))
	j.Spec.CompletionMode = ptr.To(rapid.SampledFrom([]batchv1.CompletionMode{batchv1.IndexedCompletion, batchv1.NonIndexedCompletion}).Draw(t, "mode"))
	j.Spec.BackoffLimit = ptr.To(rapid.SampledFrom([]int32{0, 2, 1000}).Draw(t, "limit"))
	j.Spec.PodReplacementPolicy = ptr.To(rapid.SampledFrom([]batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}).Draw(t, "replace"))
	if *j.Spec.CompletionMode == batchv1.IndexedCompletion && rapid.Bool().Draw(t, "limited by index") {
		j.Spec.BackoffLimitPerIndex, j.Spec.BackoffLimit = ptr.To(rapid.Int32Range(0, 3).Draw(t, "per index")), ptr.To[int32](1000)
	}
	return j
}

// decide asks twice, and looks at the answer.
func (h *history) decide() Plan {
	before := h.f.Job.DeepCopy()
	p, again := Decide(h.f), Decide(h.f)
	if diff := cmp.Diff(p, again); diff != "" {
		h.Fatalf("two plans for the same facts:\n%s", diff)
	}
	if diff := cmp.Diff(before, h.f.Job); diff != "" {
		h.Fatalf("the job was changed:\n%s", diff)
	}
	active := 0
	busy := map[string]bool{}
	for _, pod := range h.f.Pods {
		if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
			if slices.Contains(p.Remove, pod) || slices.Contains(p.Stop, pod) {
				continue
			}
			active++
			busy[pod.Annotations[batchv1.JobCompletionIndexAnnotation]] = true
		}
	}
	for _, c := range p.Create {
		if c.Index == noIndex {
			continue
		}
		index := fmt.Sprint(c.Index)
		if busy[index] {
			h.Fatalf("a second pod of index %s", index)
		}
		busy[index] = true
		for uid, done := range h.succeeded {
			if done == index {
				h.Fatalf("index %s is done by %s and is to be done again", index, uid)
			}
		}
	}
	if n := active + len(p.Create); len(p.Create) > 0 && n > int(*h.f.Job.Spec.Parallelism) {
		h.Fatalf("%d pods are active then, %d may be", n, *h.f.Job.Spec.Parallelism)
	}
	if ended := Finished(h.f.Job); ended != nil && (Changed(&h.f.Job.Status, &p.Status) || len(p.Create)+len(p.Stop)+len(p.Remove) > 0) {
		h.Fatalf("a job that has ended goes on: %+v", p)
	}
	if p.Status.Succeeded < h.f.Job.Status.Succeeded || p.Status.Failed < h.f.Job.Status.Failed {
		h.Fatalf("counted backwards: %+v after %+v", p.Status, h.f.Job.Status)
	}
	for _, pod := range p.Stop {
		h.told[pod.UID] = true
	}
	most := len(h.failed)
	for uid := range h.told {
		if !h.failed[uid] {
			most++
		}
	}
	if s := int(p.Status.Succeeded); s > len(h.succeeded)+len(h.late) || int(p.Status.Failed) > most || s+int(p.Status.Failed) > h.made {
		h.Fatalf("of %d pods %d succeeded (%d late) and %d failed, and the plan counts %+v", h.made, len(h.succeeded), len(h.late), len(h.failed), p.Status)
	}
	return p
}

// apply does what a plan says up to some stage: the process may die anywhere.
func (h *history) apply(p Plan, stages int) {
	for stage, do := range []func(){
		func() {
			for _, pod := range p.Remove {
				h.change(pod, func(pod *corev1.Pod) { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, Discard, "true") })
			}
		},
		func() {
			for _, pod := range p.Remove {
				h.change(pod, h.delete)
			}
		},
		func() {
			for _, c := range p.Create {
				pod := NewPod(h.f.Job, c, metav1.OwnerReference{UID: h.f.Job.UID})
				h.made++
				pod.Name, pod.UID = fmt.Sprint("p", h.made), types.UID(fmt.Sprint("u", h.made))
				pod.CreationTimestamp, pod.Status.Phase = metav1.NewTime(h.f.Now), corev1.PodPending
				h.f.Pods = append(h.f.Pods, pod)
			}
		},
		func() {
			h.f.Job = h.f.Job.DeepCopy()
			if Finished(h.f.Job) == nil {
				h.f.Job.Status, h.f.Backoff = p.Status, &p.Backoff
			}
		},
		func() {
			for _, pod := range p.Stop {
				h.change(pod, h.delete)
			}
		},
		func() {
			for _, pod := range p.Release {
				h.change(pod, func(pod *corev1.Pod) { pod.Finalizers = nil })
			}
		},
	} {
		if stage >= stages {
			h.f.Backoff = nil // the next process knows nothing
			break
		}
		do()
	}
	h.f.Pods = slices.DeleteFunc(h.f.Pods, func(pod *corev1.Pod) bool {
		return pod.DeletionTimestamp != nil && !Tracked(pod) && (pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded)
	})
}

// delete is what the API server does: a pod that has ended needs no grace.
func (h *history) delete(pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil {
		return
	}
	grace := int64(30)
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		grace = 0
	} else {
		h.told[pod.UID] = true
	}
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(h.f.Now.Add(time.Duration(grace)*time.Second))), &grace
}

// change replaces a pod by a changed copy.
func (h *history) change(old *corev1.Pod, f func(*corev1.Pod)) {
	for i, pod := range h.f.Pods {
		if pod.UID == old.UID {
			h.f.Pods[i] = pod.DeepCopy()
			f(h.f.Pods[i])
		}
	}
}

// end ends a pod; one that is being stopped may still do its work.
func (h *history) end(pod *corev1.Pod, well bool) {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return
	}
	h.change(pod, func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodFailed
		if well {
			pod.Status.Phase = corev1.PodSucceeded
		}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(h.f.Now)}}}}
	})
	if well && h.told[pod.UID] {
		h.late[pod.UID] = true
	} else if well {
		h.succeeded[pod.UID] = pod.Annotations[batchv1.JobCompletionIndexAnnotation]
	} else {
		h.failed[pod.UID] = true
	}
}

// Whatever becomes of its pods, and wherever the process dies: a job never has
// more pods at work than it may, does no index twice, counts no end twice, does
// not go on once it has ended, and ends once its pods do their work.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{T: t, f: Facts{Now: now, Job: drawJob(t)}, succeeded: map[types.UID]string{}, failed: map[types.UID]bool{}, told: map[types.UID]bool{}, late: map[types.UID]bool{}}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			h.f.Now = h.f.Now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
			if len(h.f.Pods) == 0 || rapid.Bool().Draw(t, "plan") {
				h.apply(h.decide(), rapid.IntRange(0, 6).Draw(t, "stages"))
				continue
			}
			pod := rapid.SampledFrom(h.f.Pods).Draw(t, "pod")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				h.end(pod, true)
			case 1:
				h.end(pod, false)
			case 2:
				h.change(pod, h.delete)
			case 3:
				h.f.Job = h.f.Job.DeepCopy()
				h.f.Job.Spec.Suspend = ptr.To(!ptr.Deref(h.f.Job.Spec.Suspend, false))
			case 4:
				h.f.Job = h.f.Job.DeepCopy()
				h.f.Job.Spec.Parallelism = ptr.To(rapid.Int32Range(0, 5).Draw(t, "other parallelism"))
			}
		}
		h.f.Job = h.f.Job.DeepCopy()
		h.f.Job.Spec.Suspend, h.f.Job.Spec.Parallelism = nil, ptr.To[int32](2)
		for range 100 {
			p := h.decide()
			h.apply(p, 12)
			for _, pod := range slices.Clone(h.f.Pods) {
				h.end(pod, true)
			}
			h.f.Now = h.f.Now.Add(max(p.Again, time.Second))
			if Finished(h.f.Job) != nil && !slices.ContainsFunc(h.f.Pods, Tracked) {
				break
			}
		}
		h.last()
	})
}

func (h *history) last() {
	ended := Finished(h.f.Job)
	if ended == nil || slices.ContainsFunc(h.f.Pods, Tracked) {
		h.Fatalf("it does not end: %+v", h.f.Job.Status)
	}
	st := h.f.Job.Status
	if st.Active != 0 || *st.Terminating != 0 || st.UncountedTerminatedPods != nil && len(st.UncountedTerminatedPods.Succeeded)+len(st.UncountedTerminatedPods.Failed) > 0 {
		h.Fatalf("it has ended and says %+v", st)
	}
	if ended.Type == batchv1.JobComplete && st.Succeeded < *h.f.Job.Spec.Completions {
		h.Fatalf("complete, and %d of %d have succeeded: %+v", st.Succeeded, *h.f.Job.Spec.Completions, st)
	}
	if ended.Type == batchv1.JobComplete && h.f.Job.Spec.CompletionMode != nil && *h.f.Job.Spec.CompletionMode == batchv1.IndexedCompletion {
		if got := ParseIndexes(st.CompletedIndexes, 100).Total(); got != int(*h.f.Job.Spec.Completions) || int(st.Succeeded) != got {
			h.Fatalf("complete with %s of %d, %d succeeded", st.CompletedIndexes, *h.f.Job.Spec.Completions, st.Succeeded)
		}
	}
	if p := h.decide(); Changed(&st, &p.Status) || len(p.Create)+len(p.Stop)+len(p.Remove)+len(p.Release) > 0 {
		h.Fatalf("nothing is left to do, and it wants %+v", p)
	}
}
