package quota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/quota/v1"
)

// Changed says whether a change of an object can change what it is charged, or
// by which quotas.
func Changed(e v1.Evaluator, old, now runtime.Object) bool {
	was, ok1 := old.(*corev1.Pod)
	is, ok2 := now.(*corev1.Pod)
	if ok1 && ok2 && (hasDeadline(was) != hasDeadline(is) || (was.DeletionTimestamp == nil) != (is.DeletionTimestamp == nil)) {
		return true
	}
	before, err1 := e.Usage(old)
	after, err2 := e.Usage(now)
	return err1 != nil || err2 != nil || !v1.Equals(before, after)
}

// Lapses is when a pod is no longer charged although it is still there: it
// should have ended by then.
func Lapses(pod *corev1.Pod) (time.Time, bool) {
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return time.Time{}, false
	}
	return pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second), true
}
