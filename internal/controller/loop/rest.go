package loop

import "time"

// A look at a workload costs as much as it has pods, and an event of each pod
// asks for one. From manyPods on, two looks keep a distance.
const (
	manyPods   = 100
	restPerPod = 100 * time.Microsecond
	restMost   = 100 * time.Millisecond
)

// Rest is how long to leave a workload alone that had so many pods when it was
// last looked at; 0 for one of less than a hundred.
func Rest(pods int, since time.Duration) time.Duration {
	if pods < manyPods {
		return 0
	}
	return max(0, min(time.Duration(pods)*restPerPod, restMost)-since)
}
