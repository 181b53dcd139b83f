// Package disruption decides what the status of a PodDisruptionBudget says: how
// many pods it counts on, how many of them are healthy, and how many may go.
//
// A pod that was evicted is in status.disruptedPods until it is seen ending or
// gone, and does not count as healthy meanwhile; an entry that nothing came of
// is dropped after DeletionTimeout.
//
// A budget by percentage or by maxUnavailable is a share of what the pods'
// controllers want to have, not of the pods that there are. Controllers says
// whose scale is needed for that.
package disruption
