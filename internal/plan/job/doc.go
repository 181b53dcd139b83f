// Package job decides what a Job does next: which pods to make and which to
// take away, what its status says, and which pods may be let go because their
// end is written down.
//
// No end of a pod is counted twice or forgotten, whenever the process dies. Each
// pod has the finalizer batch.kubernetes.io/job-tracking, and its way is:
//
//  1. It ends. Its UID goes into status.uncountedTerminatedPods; if it succeeded
//     for an index, the index goes into status.completedIndexes instead.
//  2. Once that is stored, its finalizer goes.
//  3. Once that is seen, the UID goes and the counter goes up, in one write.
//
// A pod that is taken away because it is not wanted (suspended, too many) gets
// the annotation berth.dev/job-discard before it is deleted, each only if it is
// still as it was seen: what ends by itself before it is deleted is counted,
// what ends because of that is not, and the next process knows which is which.
// (Upstream takes the finalizer off instead, and forgets a pod that has
// succeeded meanwhile, so that its index is done twice.)
//
// The end of a job is first announced (SuccessCriteriaMet, FailureTarget), then
// its pods are stopped, and when the last is gone and counted it is final
// (Complete, Failed). Announced before anything is stopped: what is stopped
// counts as failed, and must not change why the job ended.
package job
