package job

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// aged is a tracked pod of index 0 that has done its work; grace is what it was
// given when somebody deleted it.
func aged(uid types.UID, grace int64) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: string(uid), UID: uid, Finalizers: []string{batchv1.JobTrackingFinalizer},
			Annotations:       map[string]string{batchv1.JobCompletionIndexAnnotation: "0"},
			DeletionTimestamp: ptr.To(metav1.NewTime(now.Add(time.Duration(grace) * time.Second))), DeletionGracePeriodSeconds: &grace,
		},
		Status: corev1.PodStatus{Phase: corev1.PodSucceeded},
	}
}

// A pod was told to stop and is written down as failed, and the process dies;
// the pod ends well after all. It has failed, and nothing else.
func TestFailedPodThatEndsWell(t *testing.T) {
	for _, mode := range []batchv1.CompletionMode{batchv1.IndexedCompletion, batchv1.NonIndexedCompletion} {
		j := newJob()
		j.Spec.CompletionMode, j.Spec.Completions, j.Spec.Parallelism = &mode, ptr.To[int32](1), ptr.To[int32](1)
		j.Status.StartTime = ptr.To(metav1.NewTime(now.Add(-time.Hour)))
		j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Failed: []types.UID{"u"}}
		p := Decide(Facts{Job: j, Pods: []*corev1.Pod{aged("u", 30)}, Now: now})
		if p.Status.Succeeded != 0 || p.Status.CompletedIndexes != "" || len(p.Status.Conditions) > 0 || len(p.Release) != 1 {
			t.Errorf("%s: %+v, lets %d go", mode, p.Status, len(p.Release))
		}
		j.Status = p.Status
		p = Decide(Facts{Job: j, Now: now})
		if p.Status.Succeeded != 0 || p.Status.Failed != 1 || Finished(j) != nil {
			t.Errorf("%s, once it is gone: %+v", mode, p.Status)
		}
	}
}

// A pod that was to be taken away succeeds before it is, the process dies, and
// somebody else deletes the pod: its work is done. One that succeeds because it
// is told to stop has not done its work.
func TestUnwantedPodThatHasSucceeded(t *testing.T) {
	for grace, want := range map[int64]string{0: "0", 30: ""} {
		j := newJob()
		j.Spec.CompletionMode, j.Spec.Completions, j.Spec.Parallelism = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](2), ptr.To[int32](1)
		pod := aged("u", grace)
		pod.Annotations[Discard] = "true"
		p := Decide(Facts{Job: j, Pods: []*corev1.Pod{pod}, Now: now})
		if p.Status.CompletedIndexes != want || len(p.Create) != 1 || want != "" && p.Create[0].Index == 0 {
			t.Errorf("grace %d: done %q, makes %+v", grace, p.Status.CompletedIndexes, p.Create)
		}
	}
}
