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
// A pod that is taken away because it is not wanted (suspended, too many) loses
// its finalizer before it is deleted, and is not counted. One that is still
// alive without a finalizer was on that way when the process died: its end could
// not be counted, so it is taken away before it comes to one.
//
// The end of a job is first announced (SuccessCriteriaMet, FailureTarget), then
// its pods are stopped, and when the last is gone and counted it is final
// (Complete, Failed). Announced before anything is stopped: what is stopped
// counts as failed, and must not change why the job ended.
package job
