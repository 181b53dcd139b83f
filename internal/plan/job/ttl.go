package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
)

// Expires is when the job may be deleted, if it ever may.
func Expires(job *batchv1.Job) (at time.Time, ends bool) {
	ttl, end := job.Spec.TTLSecondsAfterFinished, Finished(job)
	if ttl == nil || end == nil || job.DeletionTimestamp != nil || end.LastTransitionTime.IsZero() {
		return time.Time{}, false
	}
	return end.LastTransitionTime.Add(time.Duration(*ttl) * time.Second), true
}
